/**
 * The files of the repository, as git knows them.
 */
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../setup.mjs'

const GENERATED = [
  /^native\/index/,
  /^[a-z]+\.d\.ts$/,
  /^lib\/native\/layout\.ts$/,
  /^benches\/results\//,
  /package-lock\.json$/,
  /Cargo\.lock$/,
]

let files

/** Paths, from the root, of all files that are committed or new and not ignored. */
export function committedFiles() {
  if (files !== undefined) return files
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
  const output = execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 })
  files = [...new Set(output.split('\0'))].filter((path) => path !== '' && existsSync(join(root, path)))
  return files
}

/** Whether a program generates this file. */
export function isGenerated(path) {
  return GENERATED.some((pattern) => pattern.test(path))
}
