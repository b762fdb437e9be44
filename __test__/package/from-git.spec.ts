/**
 * npm builds the package when it installs it from git: `prepare` runs `scripts/setup.mjs` in a clone.
 */
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { root } from '../helpers/internals.ts'

test('a clone without Rust ends with the advice to install the published package', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-clone-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const path of ['scripts', 'lib', 'package.json', 'package-lock.json']) {
    cpSync(join(root, path), join(folder, path), { recursive: true })
  }
  mkdirSync(join(folder, 'native'))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))

  const env = { PATH: folder, HOME: folder }
  const { code, text } = await new Promise<{ code: unknown; text: string }>((resolve) => {
    execFile(process.execPath, [join(folder, 'scripts/setup.mjs')], { cwd: folder, env }, (error, _stdout, stderr) => {
      resolve({ code: error?.code, text: stderr })
    })
  })
  t.is(code, 1)
  t.regex(text, /^Building cache-machine needs Rust: .* The published package needs none: npm install cache-machine$/m)
})
