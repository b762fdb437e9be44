/**
 * cache-machine/catbox with hapi 21: policies of two servers, and a server method.
 */
import Hapi from '@hapi/hapi'
import test from 'ava'
import { catboxEngine } from '../../lib/adapters/catbox.ts'
import { createTestCache } from '../../testing.ts'
import type { TestCache } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/catbox.ts'

adapterSuite('catbox', driver)

let loads = 0

async function serverOver(cache: TestCache): Promise<Hapi.Server> {
  const server = Hapi.server({ cache: [{ name: 'shared', engine: catboxEngine(cache) as never }] })
  const user = async (id: string): Promise<{ id: string; load: number }> => ({ id, load: ++loads })
  const policy = { cache: 'shared', expiresIn: 60_000, generateTimeout: 1000 }
  server.method('user', user, { cache: policy })
  server.route({ method: 'GET', path: '/{id}', handler: ({ params }) => methodOf(server)(params['id'] as string) })
  await server.initialize()
  return server
}

const methodOf = (server: Hapi.Server): Hapi.CachedServerMethod<(id: string) => unknown> =>
  server.methods['user'] as never

test.serial('one load serves two servers, and a dropped item is loaded again', async (t) => {
  loads = 0
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  const [one, two] = [await serverOver(first), await serverOver(second)]
  t.teardown(() => Promise.all([one.stop(), two.stop()]))
  const answerOf = async (server: Hapi.Server, id: string): Promise<unknown> => (await server.inject(`/${id}`)).result
  t.deepEqual(await answerOf(one, 'a'), { id: 'a', load: 1 })
  t.deepEqual(await answerOf(two, 'a'), { id: 'a', load: 1 })
  await methodOf(two).cache?.drop('a')
  t.deepEqual(await answerOf(one, 'a'), { id: 'a', load: 2 })
})

test.serial('a server answers although the cache is closed', async (t) => {
  loads = 0
  const cache = createTestCache()
  const server = await serverOver(cache)
  t.teardown(() => server.stop())
  cache.close()
  t.deepEqual((await server.inject('/a')).result, { id: 'a', load: 1 })
})

test('names of segments are checked as catbox asks, and an engine that is not started is not ready', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const engine = catboxEngine(cache)
  t.is(engine.validateSegmentName('users'), null)
  t.true(engine.validateSegmentName('') instanceof Error)
  t.true(engine.validateSegmentName('a\0b') instanceof Error)
  t.false(engine.isReady())
  await engine.start()
  await engine.set({ segment: 's', id: '' }, { n: 1 }, 1000)
  t.like(await engine.get({ segment: 's', id: '' }), { item: { n: 1 }, ttl: 1000 })
  await engine.stop()
  t.false(engine.isReady())
})
