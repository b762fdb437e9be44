/**
 * Makes a clean clone usable: dependencies, the native addon, dist/ and the rolled-up types. `npm run build` runs it, and
 * `npm start` and `npm test` call it first: so nothing here may import a dependency when it is loaded.
 *
 * A step is skipped when its outputs exist and were made from the sources as they are. Contents are compared, not times,
 * because git and tar set times as they like. Two that run at once take turns.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** The folder of the repository. */
export const root = realpathSync(fileURLToPath(new URL('..', import.meta.url)))

/** What is generated and committed all the same, so that a change of the contract is a visible diff. */
export const generatedFiles = ['native/index.cjs', 'native/index.d.ts', 'index.d.ts']

/** What napi is called with to build the addon and its loader. */
export const addonBuild = ['build', '--platform', '--manifest-path', 'crates/node/Cargo.toml']
addonBuild.push('--output-dir', 'native', '--js', 'index.cjs', '--dts', 'index.d.ts')

const stampFile = join(root, 'native/.stamp')
const nextFolder = join(root, 'dist-next')
const typeScriptSources = [
  'index.ts',
  'lib',
  'native/index.d.ts',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
]

/** In this order, since each reads what those above it write. */
const steps = [
  {
    name: 'addon',
    title: 'the native addon (cargo build --release: minutes the first time, then seconds)',
    sources: ['Cargo.toml', 'Cargo.lock', 'rust-toolchain.toml', '.cargo', 'crates', 'package.json'],
    isThere: () => haveFiles('native/index.cjs', 'native/index.d.ts') && haveAddon(),
    build: buildAddon,
  },
  {
    name: 'dist',
    title: 'dist/ (tsc)',
    sources: typeScriptSources,
    isThere: () => haveFiles('dist/index.js'),
    build: compileTypeScript,
  },
  {
    name: 'types',
    title: 'index.d.ts (roll-up)',
    sources: typeScriptSources,
    isThere: () => haveFiles('index.d.ts'),
    build: rollUpTypes,
  },
]

/**
 * Installs what package-lock.json names, unless it is installed.
 *
 * @param {{ log?: (line: string) => void }} [options]
 */
export async function ensureDependencies({ log = console.log } = {}) {
  if (dependenciesAreInstalled()) return
  await inTurn(log, async () => {
    if (dependenciesAreInstalled()) return
    log('Installing the dependencies (npm ci)')
    // None of them needs its install script.
    await run('npm', ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  })
}

/**
 * Builds what is missing or was made from other sources.
 *
 * @param {{ log?: (line: string) => void, features?: string[] }} [options] `features`: Cargo features of the addon.
 */
export async function ensureBuild({ log = console.log, features = [] } = {}) {
  if (steps.every((step) => isFresh(step, fingerprintOf(step, features)))) return
  await inTurn(log, async () => {
    for (const step of steps) {
      // Taken before the build: a source that changes while it runs leaves the step stale.
      const fingerprint = fingerprintOf(step, features)
      if (isFresh(step, fingerprint)) continue
      log(`Building ${step.title}`)
      await step.build(features)
      await writeStamp({ ...readStamp(), [step.name]: fingerprint })
    }
  })
}

/**
 * Makes the generated files again, however fresh they look.
 *
 * @param {{ log?: (line: string) => void }} [options]
 */
export async function regenerate({ log = console.log } = {}) {
  await inTurn(log, async () => {
    await buildAddon([])
    await rollUpTypes()
  })
}

/**
 * Runs a program to its end and throws, with what it printed, if it fails.
 *
 * @param {string} command
 * @param {string[]} args
 */
export async function run(command, args) {
  const { code, output } = await capture(command, args)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${output.trimEnd()}`)
}

/**
 * Runs a program to its end, in a process group of its own, so that a time limit also ends the programs that it started.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string>, timeout?: number }} [options] `timeout` in milliseconds.
 * @returns {Promise<{ code: number | string, output: string }>} `code`: the exit code, a signal's name, `ENOENT` or `timeout`.
 */
export function capture(command, args, { env, timeout, cwd = root } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    const take = (text) => {
      output += text
    }
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', take)

    const timer = timeout === undefined ? undefined : setTimeout(expire, timeout)
    let expired = false
    function expire() {
      expired = true
      take(`\nNot done within ${timeout / 1000} s: ended.\n`)
      killGroup(child, 'SIGTERM')
      setTimeout(killGroup, 5_000, child, 'SIGKILL').unref()
    }
    function finish(code) {
      clearTimeout(timer)
      for (const stream of [child.stdout, child.stderr]) stream.destroy()
      forget(child)
      resolve({ code: expired ? 'timeout' : code, output })
    }

    watch(child)
    child.on('error', (error) => {
      take(`${error.message}\n`)
      finish(error.code)
    })
    child.on('close', (code, signal) => finish(code ?? signal))
    // A daemon that it left behind may hold the pipes open, and `close` waits for those.
    child.on('exit', (code, signal) => setTimeout(finish, 3_000, code ?? signal).unref())
  })
}

const running = new Set()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
let interruption

/** A group of its own does not get the terminal's Ctrl-C: passes signals on, and obeys them when the child has ended. */
function watch(child) {
  if (running.size === 0) for (const signal of signals) process.on(signal, passOn)
  running.add(child)
}

function forget(child) {
  if (!running.delete(child) || running.size > 0) return
  for (const signal of signals) process.off(signal, passOn)
  if (interruption !== undefined) process.kill(process.pid, interruption)
}

function passOn(signal) {
  interruption = signal
  for (const child of running) killGroup(child, signal)
}

function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch {
    // It has ended by itself.
  }
}

/**
 * Does `work` while no other process does its own in this folder. An abstract socket is the lock: unlike a file or a folder
 * it is gone with its owner, also after a `kill -9`. Only Linux has them; elsewhere nobody waits.
 */
async function inTurn(log, work) {
  const lock = process.platform === 'linux' ? await takeLock(log) : undefined
  try {
    return await work()
  } finally {
    lock?.close()
  }
}

async function takeLock(log) {
  const name = `\0cache-machine-setup-${createHash('sha256').update(root).digest('hex').slice(0, 16)}`
  for (let tries = 0; ; tries++) {
    const lock = await tryListen(name)
    if (lock !== undefined) return lock
    if (tries === 0) log('Waiting for another installation or build of this folder')
    await sleep(100)
  }
}

function tryListen(path) {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.on('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen({ path }, () => resolve(server))
  })
}

/** npm writes the hidden lock file last, so it tells a whole installation from one that broke off. */
function dependenciesAreInstalled() {
  const wanted = readJson('package-lock.json')?.packages ?? {}
  const installed = readJson('node_modules/.package-lock.json')?.packages ?? {}
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || installed[path]?.version === entry.version,
  )
}

async function buildAddon(features) {
  const args = [...addonBuild, '--release']
  if (features.length > 0) args.push('--features', features.join(','))
  await requireRust()
  await runTool('napi', args)
}

async function requireRust() {
  const { code } = await capture('cargo', ['--version'])
  if (code !== 0)
    throw new Error('Building cache-machine needs Rust: install a stable toolchain with rustup, or your system’s')
}

/** Into a new folder that then takes the place of dist/, so that no output of a deleted source survives. */
async function compileTypeScript() {
  await rm(nextFolder, { recursive: true, force: true })
  await runTool('tsc', ['--project', 'tsconfig.build.json', '--outDir', nextFolder])
  await rm(join(root, 'dist'), { recursive: true, force: true })
  await rename(nextFolder, join(root, 'dist'))
}

async function rollUpTypes() {
  const file = join(nextFolder, 'index.d.ts')
  // Not checked here: `packaging.spec.ts` compiles what it has written.
  const options = ['--no-check', '--project', 'tsconfig.build.json', '--export-referenced-types=false']
  await runTool('dts-bundle-generator', [...options, '--out-file', file, 'index.ts'])
  await writeFile(join(root, 'index.d.ts'), await prettify(await readFile(file, 'utf8')))
  await rm(nextFolder, { recursive: true })
}

async function prettify(declarations) {
  const { format, resolveConfig } = await import('prettier')
  const path = join(root, 'index.d.ts')
  return format(declarations, { ...(await resolveConfig(path)), filepath: path })
}

function runTool(name, args) {
  return run(join(root, 'node_modules/.bin', name), args)
}

function isFresh(step, fingerprint) {
  return step.isThere() && readStamp()[step.name] === fingerprint
}

function fingerprintOf(step, features) {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}`)
  if (step.build === buildAddon) hash.update(features.join())
  for (const file of step.sources.flatMap((path) => filesUnder(join(root, path)))) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file))
  }
  return hash.digest('hex')
}

/** All files of a folder in a stable order, save those that no build reads. */
function filesUnder(path) {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) return []
  if (!status.isDirectory()) return [path]
  const names = readdirSync(path).filter((name) => !['target', 'tests', 'benches', 'fuzz'].includes(name))
  return names.toSorted().flatMap((name) => filesUnder(join(path, name)))
}

function readStamp() {
  return readJson('native/.stamp') ?? {}
}

/** By renaming: a stamp that breaks off half-way must not read as a whole one. */
async function writeStamp(stamp) {
  await mkdir(join(root, 'native'), { recursive: true })
  await writeFile(`${stampFile}.next`, `${JSON.stringify(stamp, null, 2)}\n`)
  await rename(`${stampFile}.next`, stampFile)
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8'))
  } catch {
    return undefined
  }
}

function haveFiles(...paths) {
  return paths.every((path) => existsSync(join(root, path)))
}

function haveAddon() {
  return readdirSync(join(root, 'native')).some((name) => name.endsWith('.node'))
}

async function main() {
  await ensureDependencies()
  await ensureBuild()
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
