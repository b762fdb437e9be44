/**
 * express-session: its whole suite, with our store in the place of its own `session/memory.js`. Each store has a
 * namespace of its own.
 */
import { commonJs, fileOf, filesBelow, segment } from './shared/checkout.mjs'
import { countsOf, reporting } from './shared/mocha.mjs'

const memory = `'use strict'
const { sessionStore } = require('cache-machine/session')
const Store = require('./store')
${segment}
module.exports = function MemoryStore() {
  return sessionStore(cache, { Store, namespace: \`store \${++stores}\` })
}
`

const dependencies = {
  after: '0.8.2',
  cookie: '0.7.2',
  'cookie-parser': '1.4.6',
  'cookie-signature': '1.0.7',
  debug: '2.6.9',
  depd: '2.0.0',
  express: '4.17.3',
  mocha: '10.8.2',
  'on-headers': '1.1.0',
  parseurl: '1.3.3',
  'safe-buffer': '5.2.1',
  supertest: '6.3.4',
  'uid-safe': '2.1.5',
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'expressjs/session',
  dependencies,
  files: (checkout) => ({
    ...filesBelow(checkout, 'session'),
    ...filesBelow(checkout, 'test'),
    'index.js': fileOf(checkout, 'index.js'),
    'package.json': commonJs(dependencies),
    'session/memory.js': memory,
  }),
  command: ['sh', '-c', `sh test/support/gencert.sh && mocha --require test/support/env ${reporting.join(' ')} test/`],
  countsOf,
}
