/**
 * One run of the story: a temporary folder that is its PM2_HOME, a segment of the same name, and the removal of both.
 *
 * The folder records the process that runs the story. A run that was itself killed with SIGKILL leaves everything
 * behind; the next run on this host removes it.
 */
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Pm2 } from './pm2.mjs'
import { exists, isAlive, processesOf } from './processes.mjs'
import { until } from './wait.mjs'

// Short, because the sockets of PM2 are in there, and the path of a socket has 104 bytes on macOS.
const prefix = 'cache-machine-story-'

/** @returns the folder of a new run. */
export function createRun() {
  const home = mkdtempSync(join(tmpdir(), prefix))
  writeOwner(home, { kept: false })
  return home
}

/** From now on the user must end the run. */
export function keepRun(home) {
  writeOwner(home, { kept: true })
}

export function isRun(home) {
  return basename(home).startsWith(prefix) && ownerOf(home) !== undefined
}

/** The name of the run's segment. */
export function segmentOf(home) {
  return basename(home)
}

/** Runs left behind by a story that was killed. */
export function orphanedRuns() {
  return readdirSync(tmpdir())
    .filter((entry) => entry.startsWith(prefix))
    .map((entry) => join(tmpdir(), entry))
    .filter((home) => {
      const owner = ownerOf(home)
      return owner && !owner.kept && owner.user === process.getuid() && owner.host === hostname() && !isAlive(owner.pid)
    })
}

/**
 * Ends the run's processes, and removes its segment and its folder. Safe to repeat.
 *
 * @returns {Promise<string[]>} what could not be removed.
 */
export async function endRun(home, segments) {
  const known = processesOf(home)
  const living = () => [...new Set([...known, ...processesOf(home)])].filter(isAlive)

  // Processes that PM2 fails to end are killed below.
  if (known.length > 0) await new Pm2(home).kill().catch(() => {})
  await until(() => living().length === 0, { what: 'PM2 to end', within: 5000 }).catch(() => killAll(living))
  // The daemon's parent is the init process, which takes a moment to reap it. Until then `ps` shows a zombie.
  await until(() => !known.some(exists), { what: 'the last zombie to be reaped', within: 3000 }).catch(() => {})

  segments?.destroy(segmentOf(home), { force: true })
  rmSync(home, { recursive: true, force: true })
  return leftovers(home, living(), segments)
}

/** Repeatedly, since the daemon may start a new worker before it is killed itself. */
function killAll(living) {
  const killed = () => {
    const pids = living()
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    return pids.length === 0
  }
  return until(killed, { what: 'SIGKILL to end PM2', within: 5000 }).catch(() => {})
}

function leftovers(home, pids, segments) {
  const name = segmentOf(home)
  const shared = existsSync('/dev/shm') ? readdirSync('/dev/shm').filter((file) => file.includes(name)) : []
  const listed = (segments?.list() ?? []).filter((segment) => segment.name === name)
  return [
    ...pids.map((pid) => `process ${pid}`),
    ...listed.map((segment) => `segment ${segment.name}`),
    ...shared.map((file) => `/dev/shm/${file}`),
    ...(existsSync(home) ? [home] : []),
  ]
}

function writeOwner(home, state) {
  const owner = { pid: process.pid, user: process.getuid(), host: hostname(), ...state }
  writeFileSync(join(home, 'story.json'), JSON.stringify(owner))
}

function ownerOf(home) {
  try {
    return JSON.parse(readFileSync(join(home, 'story.json'), 'utf8'))
  } catch {
    return undefined
  }
}
