/**
 * undici: the tests for cache stores of test/cache-interceptor/cache-store-test-utils.js.
 */
import { filesBelow } from './shared/checkout.mjs'

const path = 'test/cache-interceptor/cache-store-test-utils.js'

const suite = `const { randomUUID } = require('node:crypto')
const { after } = require('node:test')
const { open, segments } = require('cache-machine')
const { UndiciStore } = require('cache-machine/undici')
const { cacheStoreTests } = require('./cache-interceptor/cache-store-test-utils.js')

const name = \`undici-suite-\${process.pid}-\${randomUUID()}\`
const cache = open({ name, size: '16mb' })
let stores = 0

after(() => {
  cache.close()
  segments.destroy(name, { force: true })
})
cacheStoreTests(class CacheMachineStore extends UndiciStore {
  constructor({ maxEntrySize } = {}) {
    super(cache.namespace(\`store \${++stores}\`), maxEntrySize)
  }
})
`

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'nodejs/undici',
  dependencies: { '@sinonjs/fake-timers': '12.0.0', undici: '8.13.1' },
  node: 22,
  files: (checkout) => ({
    [path]: filesBelow(checkout, 'test/cache-interceptor')[path],
    'test/store.test.cjs': suite,
    'test/package.json': '{ "type": "commonjs" }\n',
  }),
  command: ['node', '--test-reporter=tap', 'test/store.test.cjs'],
  countsOf: (output) => {
    const of = (word) => Number(new RegExp(`^# ${word} (\\d+)$`, 'm').exec(output)?.[1] ?? 0)
    return { passed: of('pass'), failed: of('fail'), skipped: of('skipped') }
  },
}
