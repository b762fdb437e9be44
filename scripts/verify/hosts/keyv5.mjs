/**
 * Keyv 5: the package @keyv/test-suite, which the npm registry has.
 */
import { command, countsOf, vitest } from './shared/vitest.mjs'

const suite = `import { randomUUID } from 'node:crypto'
import { Keyv } from 'keyv'
import keyvTestSuite, { keyvIteratorTests } from '@keyv/test-suite'
import { open } from 'cache-machine'
import { keyv5Store } from 'cache-machine/keyv5'
import * as test from 'vitest'

const cache = open({ name: process.env.SEGMENTS + randomUUID(), size: '16mb' })

keyvTestSuite(test, Keyv, () => keyv5Store(cache))
keyvIteratorTests(test, Keyv, () => keyv5Store(cache))
`

/** @type {import('../hosts.mjs').Host} */
export default {
  dependencies: { '@keyv/test-suite': '2.1.2', keyv: '5.6.0', vitest },
  node: 22,
  files: () => ({ 'keyv.test.ts': suite }),
  command,
  countsOf,
}
