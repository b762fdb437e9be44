/**
 * What the suite needs beside the product: the contenders' packages and servers. What cannot be had is named, with its reason.
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
 * Installs the packages of benches/package.json, unless they are. Those that have to be compiled are optional there: without a
 * compiler they are absent; without a network all are.
 */
export async function ensureContenders({ log }) {
  if (packagesAreInstalled()) return
  log('Installing the contenders (npm ci in benches/)')
  try {
    await run('npm', ['ci', '--prefix', folder, '--no-audit', '--no-fund', '--loglevel=error'])
  } catch (error) {
    log(`${error.message}\nGoing on with what is there.`)
  }
}

/** Installs missing servers by apt-get where that is possible. */
export async function ensureServers({ log }) {
  const missing = missingServers()
  if (missing.length === 0 || process.platform !== 'linux' || process.getuid() !== 0 || !works('apt-get', '--version'))
    return
  const packages = missing.map((program) => program.package)
  log(`Installing ${packages.join(', ')} (apt-get)`)
  await capture('apt-get', ['update', '-qq'], { timeout: 3 * minutes })
  // The run level keeps Debian from starting a server for the whole system.
  const env = { DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  await capture('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...packages], {
    env,
    timeout: 5 * minutes,
  })
}

/** What can't run here: a name, the reason, and the contenders that are left out; `one` is the placement. */
export function findAbsent() {
  const missing = contenders.filter(({ package: name }) => !isInstalled(name))
  return [
    ...missing.map(({ id, label, package: name }) => ({
      what: label,
      why: `the npm package ${name} is not installed, or did not build`,
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

/** Of an installed package of the contenders. */
export function versionOf(name) {
  return readJson(`node_modules/${name}/package.json`)?.version
}

function missingServers() {
  return Object.values(programs).filter(({ command }) => !works(command, '--version'))
}

function isInstalled(name) {
  return name === 'node' || name === 'cache-machine' || existsSync(`${folder}node_modules/${name}`)
}

/** npm writes the hidden lock file last, so it tells a whole installation from one that broke off. */
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
