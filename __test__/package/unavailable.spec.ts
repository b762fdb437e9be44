/**
 * Where the addon cannot be loaded, importing the package succeeds, and the first call throws an error that names the
 * cause and the remedy. `registry.spec.ts` has the causes that an installation makes.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { stage } from '../helpers/published.ts'
import { hostTarget } from '../helpers/system.ts'

interface Failure {
  readonly code: string
  readonly message: string
  readonly hint: string
}

const folder = mkdtempSync(join(tmpdir(), 'cache-machine-unavailable-'))
await stage(join(folder, 'node_modules'))
const target = hostTarget()
const binary = `cache-machine-${target}`
const addon = join(folder, 'node_modules', binary, `cache-machine.${target}.node`)
const permission = process.allowedNodeEnvironmentFlags.has('--permission')
  ? '--permission'
  : '--experimental-permission'

test.after.always(() => rmSync(folder, { recursive: true, force: true }))

const program = `
  const { CacheError, open, segments } = require('cache-machine')
  try {
    const cache = open({ name: process.argv[2], size: '8mb' })
    cache.set('a', 1)
    console.log(JSON.stringify({ value: cache.get('a') }))
    cache.close()
    segments.destroy(process.argv[2])
  } catch (error) {
    if (!(error instanceof CacheError)) throw error
    const { code, message, hint } = error
    console.log(JSON.stringify({ code, message, hint }))
  }
`
writeFileSync(join(folder, 'program.cjs'), program)
writeFileSync(
  join(folder, 'program.mjs'),
  `import { createRequire } from 'node:module'\nimport 'cache-machine'\nconst require = createRequire(import.meta.url)\n${program}`,
)

const causes: Record<
  string,
  { flags?: string[]; preload?: string; env?: Record<string, string>; is: [RegExp, RegExp] }
> = {
  'the flag --no-addons': {
    flags: ['--no-addons'],
    is: [/Node was started with --no-addons$/, /without --no-addons/],
  },
  'the permission model': {
    flags: [permission, '--allow-fs-read=*'],
    is: [/Node was started with --permission/, /--allow-addons/],
  },
  'a system without a binary': {
    preload: "Object.defineProperty(process, 'platform', { value: 'darwin' })",
    is: [/there is no binary for darwin-/, /Run on Linux, x64 or arm64/],
  },
  'a processor without a binary': {
    preload: "Object.defineProperty(process, 'arch', { value: 'riscv64' })",
    is: [/there is no binary for linux-riscv64-/, /Run on Linux, x64 or arm64/],
  },
  // The machine has the other C library as well: `ldd` would say something else than the process.
  'a process on the other C library than the machine': {
    preload: `
      const fs = require('node:fs')
      const { readFileSync } = fs
      fs.readFileSync = (path, ...rest) =>
        path === '/proc/self/maps' ? '7f0000000000 r-xp /lib/${target.endsWith('gnu') ? 'ld-musl-x86_64.so.1' : 'libc.so.6'}\\n' : readFileSync(path, ...rest)`,
    is: [
      new RegExp(`\\((glibc|musl)\\).*cache-machine-linux-\\w+-${target.endsWith('gnu') ? 'musl' : 'gnu'} was refused`),
      /./,
    ],
  },
  'a chosen file that is not there': {
    env: { CACHE_MACHINE_NATIVE: '/nonexistent/addon.node' },
    is: [/\/nonexistent\/addon\.node was refused/, /Install again/],
  },
}

for (const [cause, { flags = [], preload, env, is }] of Object.entries(causes)) {
  test(`${cause} is named, with the remedy`, (t) => {
    const args = [...flags]
    if (preload !== undefined) {
      const file = join(folder, `${cause}.cjs`)
      writeFileSync(file, preload)
      args.unshift('--require', file)
    }
    for (const file of ['program.cjs', 'program.mjs']) {
      const failure = run([...args, join(folder, file)], env) as Failure
      t.is(failure.code, 'ERR_NATIVE_UNAVAILABLE', file)
      t.regex(failure.message, is[0])
      t.regex(failure.hint, is[1])
      t.regex(failure.hint, /engine: 'portable'/)
    }
  })
}

test('with --allow-addons, the permission model lets it work', (t) => {
  t.deepEqual(run([permission, '--allow-fs-read=*', '--allow-addons', join(folder, 'program.cjs')]), { value: 1 })
})

test.serial('a glibc that is too old is named', (t) => {
  if (!target.endsWith('gnu')) return t.pass('there is no glibc')
  const text = readFileSync(addon, 'latin1')
  const changed = join(folder, 'newer.node')
  // Symbols of a glibc that is yet to come.
  writeFileSync(changed, text.replaceAll(/GLIBC_2\.(\d\d)(?=\0)/g, 'GLIBC_9.$1'), 'latin1')
  const failure = run([join(folder, 'program.cjs')], { CACHE_MACHINE_NATIVE: changed }) as Failure
  t.is(failure.code, 'ERR_NATIVE_UNAVAILABLE')
  t.regex(failure.message, /the glibc of this system is older than 2\.28/)
  return undefined
})

test.serial('another version of the package with the binary is named', async (t) => {
  const other = join(folder, 'other')
  await stage(other, '0.0.1-other')
  const place = join(folder, 'mixed/node_modules')
  cpSync(join(folder, 'node_modules/cache-machine'), join(place, 'cache-machine'), { recursive: true })
  cpSync(join(other, binary), join(place, binary), { recursive: true })
  writeFileSync(join(place, '../program.cjs'), program)
  const failure = run([join(place, '../program.cjs')]) as Failure
  t.is(failure.code, 'ERR_NATIVE_UNAVAILABLE')
  t.regex(failure.message, new RegExp(`cache-machine [\\d.]+ is installed with ${binary} 0\\.0\\.1-other$`))
})

function run(args: readonly string[], env: Record<string, string> = {}): unknown {
  const name = `unavailable-${process.pid}`
  const options = { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '', ...env } } as const
  const { stdout, stderr } = spawnSync(process.execPath, [...args, name], options)
  try {
    return JSON.parse(stdout)
  } catch {
    throw new Error(`${stdout}\n${stderr}`)
  }
}
