import { execFile } from 'node:child_process'
import { symlinkSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { segmentName, temporaryDirectory } from './helpers/segment.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

test('every worker of the config-reload example ends with the newest configuration', async (t) => {
  // As a user has it: a folder of its own, with the package installed.
  const folder = temporaryDirectory(t)
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'cache-machine'))
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  copyFileSync(join(root, 'examples/config-reload/app.js'), join(folder, 'app.js'))
  const env = { ...process.env, CONFIG_SEGMENT: segmentName(t), NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, ['app.js'], { cwd: folder, env, timeout: 30_000 })
  const expected = { 'config:log-level': 'debug', 'config:rate': 100, 'config:version': 2 }
  const [, workers, config] = /^(\d+) workers: (.+)$/m.exec(stdout) ?? []
  t.is(workers, '3')
  t.deepEqual(JSON.parse(config ?? ''), expected)
})
