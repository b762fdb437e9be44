/**
 * Installs the contenders' packages and servers, and reports what is missing, with the reason.
 */
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { capture, run } from '../scripts/setup.mjs'
import { contenders } from './contenders/index.mjs'
import { canPlace, works } from './placement.mjs'
import { programs } from './servers/index.mjs'

const folder = fileURLToPath(new URL('.', import.meta.url))
const minutes = 60_000

/**
 * Installs the packages of benches/package.json if they are not installed yet. Packages that need a compiler are
 * optional dependencies and are missing without one; without a network all packages are missing.
 */
export async function ensureContenders({ log }) {
  if (packagesAreInstalled()) return
  log('Installing the contenders (npm ci in benches/)')
  try {
    await run('npm', ['ci', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error'])
  } catch (error) {
    log(`${error.message}\nThe run continues with the installed packages.`)
  }
}

/** Installs missing servers by apt-get; needs root. */
export async function ensureServers({ log }) {
  const missing = missingServers()
  if (missing.length === 0 || process.platform !== 'linux' || process.getuid() !== 0 || !works('apt-get', '--version'))
    return
  const packages = missing.map((program) => program.package)
  log(`Installing ${packages.join(', ')} (apt-get)`)
  await capture('apt-get', ['update', '-qq'], { timeout: 3 * minutes })
  // With this run level, Debian does not start the server as a system service.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  await capture('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
    env,
    timeout: 5 * minutes,
  })
}

/**
 * Lists what cannot run here: a name, the reason, and the contenders that are skipped. `one` stands for the placement.
 */
export function findAbsent() {
  const missing = contenders.filter(({ package: name }) => !isInstalled(name))
  return [
    ...missing.map(({ id, label, package: name }) => ({
      what: label,
      why: `the npm package ${name} is not installed or did not build`,
      contenders: [id],
    })),
    ...missingServers().map(({ command }) => ({
      what: command,
      why: 'not installed, and only root can install it by apt-get',
      contenders: contenders.filter(({ server }) => programs[server]?.command === command).map(({ id }) => id),
    })),
    ...(isInstalled('chart.js')
      ? []
      : [{ what: 'charts', why: 'the npm package chart.js is not installed', contenders: [] }]),
    ...(canPlace() ? [] : [{ what: 'one processor', why: 'there is no taskset (util-linux)', contenders: ['one'] }]),
  ]
}

/** The version of an installed package; undefined if it is not installed. */
export function versionOf(name) {
  return readJson(`node_modules/${name}/package.json`)?.version
}

function missingServers() {
  return Object.values(programs).filter(({ command }) => !works(command, '--version'))
}

/** Whether a package of benches/package.json is installed. */
export function isInstalled(name) {
  return name === 'node' || name === 'cache-machine' || existsSync(`${folder}node_modules/${name}`)
}

/** npm writes the hidden lock file last, so an interrupted installation has none. */
function packagesAreInstalled() {
  const wanted = readJson('package-lock.json')?.packages ?? {}
  const installed = readJson('node_modules/.package-lock.json')?.packages ?? {}
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || installed[path]?.version === entry.version,
  )
}

function readJson(path) {
  try {
    return JSON.parse(readFileSync(`${folder}${path}`, 'utf8'))
  } catch {
    return undefined
  }
}
