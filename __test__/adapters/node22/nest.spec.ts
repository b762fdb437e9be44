/**
 * cache-machine/nest with Nest 12 as ES modules, and with Nest 11 as CommonJS. The cache of Nest 12 loads Keyv 6, which
 * asks for Node.js 22.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { root } from '../../helpers/internals.ts'
import { adapterSuite } from '../adapters.suite.ts'
import * as driver from '../drivers/nest.ts'

const folder = join(root, '__test__/adapters/apps/nest')

adapterSuite('nest', driver)

test.serial('the application on two servers, Nest 12 as ES modules', async (t) => {
  t.timeout(180_000)
  const env = { ...process.env, NODE_OPTIONS: '', SERVER: './server.mjs' }
  const args = ['--test', '--test-reporter=tap', 'nest.test.mjs']
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: folder, env, timeout: 170_000 })
  t.regex(stdout, /^# pass 8$/m)
  t.regex(stdout, /^# fail 0$/m)
})

test.serial('the application on two servers, Nest 11 as CommonJS', async (t) => {
  t.timeout(300_000)
  const { runHost } = (await import(join(root, 'scripts/verify/hosts.mjs'))) as {
    runHost(name: string): Promise<{ passed: number; failed: number; output: string }>
  }
  const { passed, failed, output } = await runHost('nest11')
  t.deepEqual([passed, failed], [8, 0], output)
})
