/**
 * What a user gets: the packages are published into a registry on loopback and installed from it, by each package
 * manager, into empty folders. The code of README.md runs in each, as an ES module and as CommonJS. The folder with
 * programs that the managers see has no compiler.
 */
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { root } from '../helpers/internals.ts'
import { asPromised, codeOf, commonJsOf, outputOf } from '../helpers/page-code.ts'
import { Registry, cleanEnvironment } from '../helpers/published.ts'
import { segmentName } from '../helpers/segment.ts'
import { hostTarget } from '../helpers/system.ts'

const readme = readFileSync(join(root, 'README.md'), 'utf8')
const folder = mkdtempSync(join(tmpdir(), 'cache-machine-registry-'))
const programs = join(folder, 'bin')
const OTHER_VERSION = '0.0.1-other'
const OWN = 'cache-machine'

let registry: Registry

test.before(async (t) => {
  t.timeout(120_000)
  // Installations find Node, npm and a shell there, and nothing else.
  mkdirSync(programs)
  const npm = dirname(findProgram('npm'))
  for (const [name, path] of [
    ['node', process.execPath],
    ['npm', join(npm, 'npm')],
    ['sh', findProgram('sh')],
  ] as const) {
    symlinkSync(path, join(programs, name))
  }
  registry = await Registry.start(folder)
  await registry.publish()
  await registry.publish(OTHER_VERSION)
})

test.after.always(async () => {
  await registry?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** The command of a package manager before its arguments, and how it adds a package. */
const managers = {
  npm: { command: ['npm'], add: (name: string) => ['install', name] },
  pnpm: { command: [process.execPath, tool('pnpm/bin/pnpm.cjs')], add: (name: string) => ['add', name] },
  'yarn 1': { command: [process.execPath, tool('yarn/bin/yarn.js')], add: (name: string) => ['add', name] },
  'yarn 4': {
    command: [process.execPath, tool('@yarnpkg/cli-dist/bin/yarn.js')],
    add: (name: string) => ['add', name],
  },
} as const
type Manager = keyof typeof managers

for (const manager of Object.keys(managers) as Manager[]) {
  test.serial(`${manager} installs it, and the code of README.md runs in both module formats`, async (t) => {
    t.timeout(120_000)
    const place = emptyProject(t, manager)
    const { command, add } = managers[manager]
    await run(place, [...command, ...add(OWN)])
    await runReadme(t, place, [process.execPath])
    t.true(existsSync(join(place, 'node_modules', '.bin', OWN)))
    const program = [process.execPath, join(place, 'node_modules', OWN, 'dist/lib/command/main.cjs')]
    t.regex(await run(place, [...program, '--version']), /^\d+\.\d+\.\d+/)
    t.regex(await run(place, [...program, 'list', '--json']), /^\[/)
  })
}

test.serial('npm adds two packages: the hosts of adapters are optional', async (t) => {
  t.timeout(120_000)
  const place = emptyProject(t, 'two packages')
  t.regex(await run(place, ['npm', 'install', OWN]), /^added 2 packages/m)
  t.deepEqual(installed(place), [OWN, `${OWN}-${hostTarget()}`])
})

test.serial('yarn 4 without node_modules installs it, and the code of README.md runs', async (t) => {
  t.timeout(120_000)
  const place = emptyProject(t, 'plug-and-play')
  writeFileSync(join(place, '.yarnrc.yml'), yarnSettings('pnp'))
  const { command, add } = managers['yarn 4']
  await run(place, [...command, ...add(OWN)])
  await runReadme(t, place, [...command, 'node'])
})

test.serial('npm installs it in a path with spaces and other letters', async (t) => {
  t.timeout(120_000)
  const place = emptyProject(t, 'mein Ordner – 缓存 ñ')
  await run(place, ['npm', 'install', OWN])
  await runReadme(t, place, [process.execPath])
})

for (const [platform, flags] of Object.entries({
  'arm64 with musl': ['--os=linux', '--cpu=arm64', '--libc=musl'],
  macOS: ['--os=darwin', '--cpu=arm64'],
})) {
  test.serial(`a lockfile that was written on ${platform} installs the package of this platform`, async (t) => {
    t.timeout(120_000)
    const there = emptyProject(t, `there ${platform}`)
    await run(there, ['npm', 'install', ...flags, OWN])
    t.false(installed(there).includes(`${OWN}-${hostTarget()}`), 'it was not needed there')
    const here = emptyProject(t, `here ${platform}`)
    for (const file of ['package.json', 'package-lock.json']) {
      writeFileSync(join(here, file), readFileSync(join(there, file)))
    }
    await run(here, ['npm', 'ci'])
    t.deepEqual(installed(here), [OWN, `${OWN}-${hostTarget()}`], 'and no package of another platform')
    await runReadme(t, here, [process.execPath])
  })
}

test.serial('two versions in one tree have a binary each, and share a segment', async (t) => {
  t.timeout(120_000)
  const place = emptyProject(t, 'two versions')
  await run(place, ['npm', 'install', OWN, `other@npm:${OWN}@${OTHER_VERSION}`])
  const name = segmentName(t)
  const program = `
    import * as one from '${OWN}'
    import * as other from 'other'
    const caches = [one, other].map(({ open }) => open({ name: '${name}', size: '8mb' }))
    caches[0].set('from one', 1)
    const waiting = caches[0].waitFor('from other')
    caches[1].set('from other', 2)
    const { value } = await waiting
    console.log(one.SharedCache === other.SharedCache, value, caches[1].get('from one'))
    const addons = Object.keys((await import('node:module')).default._cache).filter((path) => path.endsWith('.node'))
    console.log(new Set(addons).size)
    caches[0].close()
    console.log(caches[1].get('from one'))
  `
  writeFileSync(join(place, 'two.mjs'), program)
  t.is(await run(place, [process.execPath, 'two.mjs']), 'false 2 1\n2\n1\n')
})

test.serial('without optional packages, the error says so', async (t) => {
  t.timeout(120_000)
  const place = emptyProject(t, 'omitted')
  await run(place, ['npm', 'install', '--omit=optional', OWN])
  t.deepEqual(installed(place), [OWN])
  const { message, hint } = await failure(t, place)
  t.regex(message, new RegExp(`: the package ${OWN}-${hostTarget()} is not installed$`))
  t.regex(hint, /^Install without --omit=optional/)
})

test.serial('with the packages of another C library or processor, the error says so', async (t) => {
  t.timeout(120_000)
  const [system, cpu, libc] = hostTarget().split('-') as [string, string, string]
  const otherLibc = libc === 'gnu' ? 'musl' : 'gnu'
  const otherCpu = cpu === 'x64' ? 'arm64' : 'x64'
  const cases = [
    {
      flags: [`--cpu=${cpu}`, `--libc=${npmName(otherLibc)}`],
      found: [system, cpu, otherLibc],
      hint: /another C library/,
    },
    {
      flags: [`--cpu=${otherCpu}`, `--libc=${npmName(libc)}`],
      found: [system, otherCpu, libc],
      hint: /another processor/,
    },
  ]
  for (const { flags, found, hint } of cases) {
    const place = emptyProject(t, `for ${found.join(' ')}`)
    await run(place, ['npm', 'install', '--os=linux', ...flags, OWN])
    const error = await failure(t, place)
    t.true(error.message.includes(`: ${OWN}-${found.join('-')} is installed, but this process needs `), error.message)
    t.regex(error.hint, hint)
  }
})

function npmName(libc: string): string {
  return libc === 'gnu' ? 'glibc' : libc
}

function emptyProject(t: ExecutionContext, name: string): string {
  const place = join(folder, 'projects', name)
  mkdirSync(place, { recursive: true })
  writeFileSync(join(place, 'package.json'), '{ "name": "user", "private": true }\n')
  writeFileSync(join(place, '.npmrc'), `registry=${registry.url}\naudit=false\nfund=false\n`)
  writeFileSync(join(place, '.yarnrc'), `registry "${registry.url}"\n`)
  writeFileSync(join(place, '.yarnrc.yml'), yarnSettings('node-modules'))
  writeFileSync(join(place, 'yarn.lock'), '')
  t.teardown(() => rmSync(place, { recursive: true, force: true }))
  return place
}

function yarnSettings(linker: 'node-modules' | 'pnp'): string {
  return `npmRegistryServer: "${registry.url.replace(/\/$/, '')}"
unsafeHttpWhitelist: ["127.0.0.1"]
nodeLinker: ${linker}
enableTelemetry: false
npmMinimalAgeGate: 0
enableImmutableInstalls: false
`
}

/** The packages of this project in node_modules. */
function installed(place: string): string[] {
  return readdirSync(join(place, 'node_modules'))
    .filter((name) => name.startsWith(OWN))
    .toSorted()
}

/** Runs the code of README.md in both module formats. */
async function runReadme(t: ExecutionContext, place: string, node: readonly string[]): Promise<void> {
  const wanted = outputOf(readme)
  t.true(wanted.length > 0)
  for (const [file, code] of [
    ['readme.mjs', codeOf(readme)],
    ['readme.cjs', commonJsOf(readme)],
  ] as const) {
    const name = segmentName(t)
    writeFileSync(join(place, file), code.replaceAll("'app'", `'${name}'`))
    const printed = await run(place, [...node, file])
    t.deepEqual(asPromised(printed, wanted), wanted, file)
  }
}

/** The error of `open` in a project. */
async function failure(t: ExecutionContext, place: string): Promise<{ message: string; hint: string }> {
  const program = `
    const { CacheError, open } = require('${OWN}')
    try { open({ name: 'never' }) } catch (error) {
      const { code, message, hint } = error
      console.log(JSON.stringify({ code, message, hint, isOurs: error instanceof CacheError }))
    }
  `
  writeFileSync(join(place, 'failure.cjs'), program)
  const error = JSON.parse(await run(place, [process.execPath, 'failure.cjs'])) as Record<string, string>
  t.like(error, { code: 'ERR_NATIVE_UNAVAILABLE', isOurs: true })
  return error as { message: string; hint: string }
}

/** Runs a program to its end. Returns what it printed; rejects with all of its output if it fails. */
async function run(place: string, command: readonly string[]): Promise<string> {
  const [file = '', ...args] = command
  const options = { cwd: place, env: cleanEnvironment(folder, programs), timeout: 100_000 }
  return new Promise((resolve, reject) => {
    execFile(file === 'npm' ? join(programs, 'npm') : file, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(`${command.join(' ')}: ${error.message}\n${stdout}\n${stderr}`))
    })
  })
}

function tool(path: string): string {
  return join(root, 'node_modules', path)
}

function findProgram(name: string): string {
  const folders = (process.env['PATH'] ?? '').split(':')
  const found = folders.find((path) => {
    try {
      return readdirSync(path).includes(name)
    } catch {
      return false
    }
  })
  if (found === undefined) throw new Error(`there is no ${name}`)
  return join(found, name)
}
