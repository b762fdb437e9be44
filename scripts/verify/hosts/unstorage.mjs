/**
 * unstorage: the suite for drivers of test/drivers/utils.ts. Its import of the library is that of the package.
 */
import { filesBelow } from './shared/checkout.mjs'
import { command, countsOf, vitest } from './shared/vitest.mjs'

const suite = `import { randomUUID } from 'node:crypto'
import { open, segments } from 'cache-machine'
import { unstorageDriver } from 'cache-machine/unstorage'
import { afterAll, describe } from 'vitest'
import { testDriver } from './drivers/utils.ts'

const name = \`unstorage-suite-\${process.pid}-\${randomUUID()}\`
const cache = open({ name, size: '16mb' })

afterAll(() => {
  cache.close()
  segments.destroy(name, { force: true })
})
describe('drivers: cache-machine', () => testDriver({ driver: unstorageDriver(cache) }))
`

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'unjs/unstorage',
  dependencies: { unstorage: '1.17.6', vitest },
  node: 22,
  files: (checkout) => ({
    'src/index.ts': "export * from 'unstorage'\n",
    'test/drivers/utils.ts': filesBelow(checkout, 'test/drivers')['test/drivers/utils.ts'],
    'test/driver.test.ts': suite,
  }),
  command,
  countsOf,
}
