/**
 * @fastify/rate-limit: its whole suite, with our store in the place of its own `store/LocalStore.js`. Left out are the
 * tests that need a Redis server, and the one that is about the memory of the store that the host brings.
 */
import { commonJs, fileOf, filesBelow } from './shared/checkout.mjs'
import { command, countsOf } from './shared/node-test.mjs'

// The suite moves the time of the process, which the portable engine follows.
const store = `'use strict'
const { fastifyRateLimitStore } = require('cache-machine/fastify-rate-limit')
const { createTestCache } = require('cache-machine/testing')
const cache = createTestCache()
let stores = 0
module.exports = function LocalStore(continueExceeding, exponentialBackoff) {
  const Store = fastifyRateLimitStore(cache, { namespace: \`store \${++stores}\` })
  return new Store({ continueExceeding, exponentialBackoff })
}
`

const dependencies = {
  '@lukeed/ms': '2.0.2',
  fastify: '5.12.8',
  'fastify-plugin': '6.0.0',
  'ip-address': '10.2.0',
  'toad-cache': '3.7.0',
}
const leftOut = ['test/redis-rate-limit.test.js', 'test/local-store-close.test.js']

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'fastify/fastify-rate-limit',
  node: 22,
  dependencies,
  files: (checkout) => {
    const tests = Object.entries(filesBelow(checkout, 'test')).filter(([path]) => !leftOut.includes(path))
    return {
      ...filesBelow(checkout, 'store'),
      ...Object.fromEntries(tests),
      'index.js': fileOf(checkout, 'index.js'),
      'package.json': commonJs(dependencies),
      'store/LocalStore.js': store,
    }
  },
  command,
  countsOf,
}
