/**
 * The release script publishes nothing that would not load where it is installed.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { root } from '../helpers/internals.ts'
import { temporaryDirectory } from '../helpers/segment.ts'
import { hostTarget } from '../helpers/system.ts'

/** Types for the modules of `scripts/release`, which have none. */
interface Platform {
  readonly id: string
  readonly file: string
}
interface Release {
  platforms: readonly Platform[]
  problemsOf(file: string, platform: Platform): string[]
  neededGlibc(text: string): string | undefined
}

const { platforms } = (await import(join(root, 'scripts/release/manifests.mjs'))) as Release
const { problemsOf, neededGlibc } = (await import(join(root, 'scripts/release/binaries.mjs'))) as Release
const host = platforms.find(({ id }) => id === hostTarget()) as Platform
const built = readFileSync(join(root, 'native', host.file), 'latin1')

test('a dry run refuses placeholders, and says so for each', (t) => {
  const folder = temporaryDirectory(t)
  for (const { file, id } of platforms) writeFileSync(join(folder, file), `A placeholder for ${id}.\n`)
  const args = [join(root, 'scripts/release.mjs'), '--dry-run', '--binaries', folder]
  const { status, stderr, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
  t.is(status, 1)
  for (const { file } of platforms) t.true(stderr.includes(`${file} is a placeholder`), stderr)
  t.regex(stderr, /Nothing was published/)
  t.false(stdout.includes('publish'))
  t.is(readdirSync(folder).length, platforms.length)
})

test('a binary that cannot load everywhere is refused, with the reason', (t) => {
  const folder = temporaryDirectory(t)
  const problems = (text: string | undefined, platform = host): string => {
    const file = join(folder, platform.file)
    if (text !== undefined) writeFileSync(file, text, 'latin1')
    return problemsOf(file, platform).join()
  }
  t.regex(problems(undefined), /is missing/)
  t.regex(problems('text'), /is a placeholder/)
  const otherCpu = platforms.find(
    ({ id }) => id !== host.id && id.endsWith(hostTarget().split('-')[2] ?? ''),
  ) as Platform
  t.regex(problems(built, otherCpu), /is for another processor/)
  t.regex(problems(built.replaceAll('napi_register_module_v1', 'napi_register_module_v0')), /is no addon/)
})

test('a binary for glibc may need at most 2.28, and one for musl none', (t) => {
  if (!host.id.endsWith('gnu')) return t.pass('this binary needs no glibc')
  const folder = temporaryDirectory(t)
  const check = (text: string, platform = host): string => {
    const file = join(folder, platform.file)
    writeFileSync(file, text, 'latin1')
    return problemsOf(file, platform).join()
  }
  // The length stays, so that the file is the same otherwise.
  const asked = (version: number): string => built.replaceAll(/GLIBC_2\.\d\d(?=\0)/g, `GLIBC_2.${version}`)
  t.is(check(asked(28)), '')
  t.regex(check(asked(29)), /needs glibc 2\.29, and may need at most 2\.28/)
  t.is(neededGlibc(asked(17)), '2.17')
  const musl = platforms.find(({ id }) => id === host.id.replace('gnu', 'musl')) as Platform
  t.regex(check(built, musl), /needs glibc, and is for musl/)
  return undefined
})
