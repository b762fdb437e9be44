/**
 * Keyv 6: the suites for stores and for storage adapters of core/test-suite. Each call makes a store, as those suites
 * ask; the storage tests have a namespace of their own each.
 */
import { filesBelow } from './shared/checkout.mjs'
import { command, countsOf, vitest } from './shared/vitest.mjs'

const suite = `import { randomUUID } from 'node:crypto'
import { Keyv } from 'keyv'
import { open } from 'cache-machine'
import { keyvStore } from 'cache-machine/keyv'
import { describe, it } from 'vitest'
import { keyvIteratorTests, keyvTestSuite, storageTestSuite } from './core/test-suite/src/index.js'

const cache = open({ name: process.env.SEGMENTS + randomUUID(), size: '16mb' })
let stores = 0
const fresh = () => keyvStore(cache, { namespace: \`store \${++stores}\` })

describe('keyv', () => keyvTestSuite(it, Keyv, () => keyvStore(cache)))
describe('iterator', () => keyvIteratorTests(it, Keyv, () => keyvStore(cache)))
describe('storage', () => storageTestSuite(it, fresh))
`

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'jaredwray/keyv',
  node: 22,
  dependencies: {
    '@faker-js/faker': '10.5.0',
    'bignumber.js': '11.1.5',
    'json-bigint': '1.0.0',
    keyv: '6.1.0',
    timekeeper: '2.3.1',
    vitest,
  },
  files: (checkout) => ({ ...filesBelow(checkout, 'core/test-suite/src'), 'keyv.test.ts': suite }),
  command,
  countsOf,
}
