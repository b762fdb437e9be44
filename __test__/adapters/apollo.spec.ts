/**
 * cache-machine/apollo with Apollo Server 5: automatic persisted queries, which it keeps in its cache.
 */
import { createHash } from 'node:crypto'
import { ApolloServer } from '@apollo/server'
import test from 'ava'
import { apolloCache } from '../../lib/adapters/apollo.ts'
import { createTestCache } from '../../testing.ts'
import type { TestCache } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/apollo.ts'

adapterSuite('apollo', driver)

const query = '{ hello }'
const extensions = { persistedQuery: { version: 1, sha256Hash: createHash('sha256').update(query).digest('hex') } }

function serverOver(cache: TestCache): ApolloServer {
  return new ApolloServer({
    typeDefs: 'type Query { hello: String }',
    resolvers: { Query: { hello: () => 'world' } },
    cache: apolloCache(cache),
    stopOnTerminationSignals: false,
  })
}

async function answerOf(server: ApolloServer, request: object): Promise<unknown> {
  const { body } = await server.executeOperation({ ...request, extensions })
  if (body.kind !== 'single') throw new Error('not a single result')
  return body.singleResult.errors?.[0]?.message ?? { ...body.singleResult.data }
}

test('a query that one server has registered runs on another by its hash', async (t) => {
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  const [one, two] = [serverOver(first), serverOver(second)]
  t.teardown(() => Promise.all([one.stop(), two.stop()]))
  t.is(await answerOf(two, {}), 'PersistedQueryNotFound')
  t.deepEqual(await answerOf(one, { query }), { hello: 'world' })
  // The server registers a query without waiting for it, and the cache is synchronous.
  t.deepEqual(await answerOf(two, {}), { hello: 'world' })
})
