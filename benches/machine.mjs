/**
 * The machine of a run, and the versions of everything measured.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { contenders } from './contenders/index.mjs'
import { versionOf } from './install.mjs'
import { programs } from './servers/index.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))

export function describeMachine() {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    processors: availableParallelism(),
    isVirtual: /^flags\s*:.*\bhypervisor\b/m.test(readText('/proc/cpuinfo')),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: /^PRETTY_NAME="?([^"\n]*)/m.exec(readText('/etc/os-release'))?.[1] ?? process.platform,
    kernel: release(),
    node: process.versions.node,
    v8: process.versions.v8,
  }
}

/** The share of the processors' time that other processes take while this one sleeps, from 0 to 1. */
export async function measureBusyness(milliseconds = 2000) {
  const before = processorTimes()
  await sleep(milliseconds)
  const after = processorTimes()
  return 1 - (after.idle - before.idle) / (after.all - before.all)
}

function processorTimes() {
  const times = cpus().map(({ times }) => times)
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0)
  return { idle: sum(times.map(({ idle }) => idle)), all: sum(times.flatMap((each) => Object.values(each))) }
}

/** The versions of cache-machine, of the contenders' packages and of the servers. */
export function describeVersions() {
  const packages = [...new Set(contenders.map((contender) => contender.package))].filter(
    (name) => name !== 'node' && name !== 'cache-machine',
  )
  const servers = Object.values(programs).map(({ command }) => [`${command} (server)`, serverVersion(command)])
  return Object.fromEntries(
    [
      ['cache-machine', ownVersion()],
      ...packages.toSorted().map((name) => [name, versionOf(name)]),
      ['msgpackr', versionOf('msgpackr')],
      ...servers,
    ].filter(([, version]) => version !== undefined),
  )
}

/** The version with the commit, and a plus sign if tracked files differ from the commit. */
function ownVersion() {
  const { version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))
  const commit = output('git', ['-C', root, 'rev-parse', '--short', 'HEAD'])
  const changes = output('git', ['-C', root, 'status', '--porcelain', '--untracked-files=no'])
  return commit === '' ? version : `${version} (${commit}${changes === '' ? '' : '+'})`
}

function serverVersion(command) {
  return /\d+\.\d+\.\d+/.exec(output(command, ['--version']))?.[0]
}

function output(command, args) {
  const { status, stdout } = spawnSync(command, args, { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : ''
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
