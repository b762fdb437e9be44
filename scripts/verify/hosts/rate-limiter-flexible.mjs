/**
 * rate-limiter-flexible: its suite of the Memcached limiter, with ours in the place of `lib/RateLimiterMemcache.js`. The
 * client that the suite makes becomes a view of the cache, and its unavailable client a cache that is closed.
 */
import { commonJs, fileOf, filesBelow, segment } from './shared/checkout.mjs'
import { countsOf, reporting } from './shared/mocha.mjs'

const client = `'use strict'
${segment}
const counts = cache.namespace('rate-limiter-flexible')
module.exports = class Memcached {
  cache = cache
  flush(done) {
    counts.clear()
    done()
  }
  get(key, callback) {
    callback(null, counts.get(key))
  }
}
`

const limiter = `'use strict'
const { open } = require('cache-machine')
const { flexibleLimiter } = require('cache-machine/rate-limiter-flexible')
const Memcached = require('../test/client')
const Abstract = require('./RateLimiterStoreAbstract')
const RateLimiterRes = require('./RateLimiterRes')
const host = { RateLimiterMemcache: class extends Abstract {}, RateLimiterRes }
const ended = (namespace) => new Proxy(namespace, {
  get: () => () => {
    throw new Error('Server Unavailable')
  },
})
module.exports = function RateLimiterMemcache({ storeClient, ...options }) {
  const store = storeClient instanceof Memcached ? storeClient.cache : { get() {}, set() {}, delete() {}, namespace: () => ended({}) }
  return flexibleLimiter(store, { host, ...options })
}
`

const dependencies = { chai: '4.5.0', mocha: '10.8.2', sinon: '17.0.2' }
const suite = 'test/RateLimiterMemcache.test.js'

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'animir/node-rate-limiter-flexible',
  dependencies,
  files: (checkout) => ({
    ...filesBelow(checkout, 'lib'),
    [suite]: fileOf(checkout, suite).replace(`require('memcached-mock')`, `require('./client')`),
    'test/client.js': client,
    'lib/RateLimiterMemcache.js': limiter,
    'package.json': commonJs(dependencies),
  }),
  command: ['mocha', ...reporting, suite],
  countsOf,
}
