/**
 * The processes of one run, found without trusting anybody's bookkeeping: whoever has this run's PM2_HOME in its
 * environment belongs to it, a worker that PM2 has started a moment ago as well as one that PM2 has lost.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Ids of the living processes that belong to `home`. */
export function processesOf(home) {
  const candidates = process.platform === 'linux' ? pidsByEnvironment(home) : pidsByFile(home)
  return candidates.filter(isAlive)
}

/** Also true of a zombie: a number that its parent has not yet asked for. */
export function exists(pid) {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error.code === 'EPERM'
  }
}

export function isAlive(pid) {
  if (!exists(pid)) return false
  if (process.platform !== 'linux') return true
  // The state follows the command's name, which may contain anything, brackets included.
  const [state] = textOf(`/proc/${pid}/stat`).split(') ').at(-1) ?? ''
  return state !== undefined && state !== 'Z'
}

function pidsByEnvironment(home) {
  const mark = `PM2_HOME=${home}\0`
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && textOf(`/proc/${entry}/environ`).includes(mark))
    .map(Number)
}

/** Elsewhere, what PM2 has written down. */
function pidsByFile(home) {
  const files = [join(home, 'pm2.pid')]
  try {
    files.push(...readdirSync(join(home, 'pids')).map((file) => join(home, 'pids', file)))
  } catch {
    // No daemon has been here.
  }
  return files.map((file) => Number(textOf(file))).filter((pid) => pid > 0)
}

/** The file's text; empty when it is gone or somebody else's. */
function textOf(path) {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
