/**
 * The tree as plain JavaScript, for a test that starts hundreds of children: without a TypeScript loader each of them
 * starts in a third of the time. Types are not checked here; `npm test` checks them separately.
 */
import { execFileSync } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { root } from './internals.ts'
import { temporaryDirectory } from './segment.ts'

/** Milliseconds for the compiler, which takes minutes on a busy machine. */
const COMPILATION = 300_000

/**
 * Compiles into a folder that is removed when the test ends, and returns the folder; see `ForkOptions.compiled`.
 * `limit`: the time limit of the test, in milliseconds, which begins after the compilation.
 */
export function compile(t: ExecutionContext, limit: number): string {
  t.timeout(COMPILATION + limit)
  const folder = temporaryDirectory(t)
  const compiler = createRequire(import.meta.url).resolve('typescript/lib/tsc.js')
  const project = ['--project', join(root, 'tsconfig.json'), '--rootDir', root, '--outDir', folder]
  execFileSync(process.execPath, [compiler, ...project, '--noEmit', 'false', '--noCheck'])
  // The addon is used in place. The manifest makes `#loader` and modules work.
  symlinkSync(join(root, 'native'), join(folder, 'native'))
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ type: 'module', imports: { '#loader': './native/loader.cjs' } }),
  )
  t.timeout(limit)
  return folder
}
