/**
 * @fastify/session: its whole suite, with our store in the place of its test store. The suite of its own memory store is
 * left out.
 */
import { commonJs, fileOf, filesBelow, segment } from './shared/checkout.mjs'
import { command, countsOf } from './shared/node-test.mjs'

// The suite also looks into the Map of its store, and fills one before it is used: both go to the cache here.
const testStore = `'use strict'
const { sessionStore } = require('cache-machine/session')
${segment}
module.exports = function TestStore(map) {
  const namespace = \`store \${++stores}\`
  const store = sessionStore(cache, { namespace })
  const space = cache.namespace(namespace)
  const live = () => [...space.entries()].filter(([, text]) => typeof text === 'string')
  store.store = {
    get size() {
      return live().length
    },
    has: (sid) => typeof space.get(sid) === 'string',
    entries: () => live().map(([sid, text]) => [sid, JSON.parse(text)]),
  }
  const parsed = (sid) => JSON.parse(space.get(sid))
  if (map) Object.assign(map, { get: parsed, set: (sid, session) => space.set(sid, JSON.stringify(session)) })
  return store
}
`

const dependencies = {
  '@fastify/cookie': '11.1.5',
  fastify: '5.12.8',
  'fastify-plugin': '6.0.0',
  'safe-stable-stringify': '2.5.0',
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'fastify/session',
  node: 22,
  dependencies,
  files: (checkout) => {
    const { 'test/memorystore.test.js': _, ...tests } = filesBelow(checkout, 'test')
    return {
      ...filesBelow(checkout, 'lib'),
      ...tests,
      'index.js': fileOf(checkout, 'index.js'),
      'package.json': commonJs(dependencies),
      'test/TestStore.js': testStore,
    }
  },
  command,
  countsOf,
}
