/**
 * The processes of one run, found independently of the records of PM2: a process belongs to the run if its
 * environment has the run's PM2_HOME. This includes a worker that PM2 has just started and one that PM2 has lost.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The ids of the processes that belong to `home` and are alive. */
export function processesOf(home) {
  const candidates = process.platform === 'linux' ? pidsByEnvironment(home) : pidsByFile(home)
  return candidates.filter(isAlive)
}

/** Also true for a zombie: a dead process that its parent has not reaped yet. */
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

/** On other systems, the records of PM2. */
function pidsByFile(home) {
  const files = [join(home, 'pm2.pid')]
  try {
    files.push(...readdirSync(join(home, 'pids')).map((file) => join(home, 'pids', file)))
  } catch {
    // There was no daemon.
  }
  return files.map((file) => Number(textOf(file))).filter((pid) => pid > 0)
}

/** The file's text; empty if the file does not exist or belongs to another user. */
function textOf(path) {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}
