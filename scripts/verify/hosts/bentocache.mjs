/**
 * bentocache: the suite for drivers that its package has, for the test runner Japa.
 */
const suite = `import { randomUUID } from 'node:crypto'
import { test } from '@japa/runner'
import { registerCacheDriverTestSuite } from 'bentocache/test_suite'
import { open, segments } from 'cache-machine'
import { bentoDriver } from 'cache-machine/bentocache'

const name = \`bentocache-suite-\${process.pid}-\${randomUUID()}\`
const cache = open({ name, size: '16mb' })
process.once('exit', () => {
  cache.close()
  segments.destroy(name, { force: true })
})
test.group('cache-machine', (group) => {
  const createDriver = (config) => bentoDriver(cache).factory({ prefix: 'suite', ...config })
  registerCacheDriverTestSuite({ test, group, createDriver, supportsMilliseconds: true })
})
`

// Japa imports the file with the tests itself.
const runner = `import { assert } from '@japa/assert'
import { configure, processCLIArgs, run } from '@japa/runner'

processCLIArgs([])
configure({ files: ['driver.spec.mjs'], plugins: [assert()], reporters: { activated: ['ndjson'] } })
await run()
`

/** @type {import('../hosts.mjs').Host} */
export default {
  dependencies: { '@japa/assert': '4.2.0', '@japa/runner': '5.3.0', bentocache: '1.6.1' },
  node: 22,
  files: () => ({ 'driver.spec.mjs': suite, 'run.mjs': runner }),
  command: ['node', 'run.mjs'],
  countsOf(output) {
    const events = output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
    const tests = events.filter(({ event }) => event === 'test:end')
    const failed = tests.filter(({ hasError, errors }) => hasError || errors?.length > 0).length
    return { passed: tests.length - failed, failed, skipped: 0 }
  },
}
