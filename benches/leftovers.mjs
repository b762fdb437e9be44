/**
 * Removes what killed runs have left: segments, folders, and files in shared memory.
 *
 * Every name contains the process id of its run. A run that has not ended must keep its files, so only names of ended
 * processes are removed.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const FOLDER_PREFIX = 'cache-machine-bench-'
const SHARED_MEMORY = '/dev/shm'
const segmentName = /^bench-(\d+)-\d+$/
const fileName = /^(?:cache-machine-bench-(\d+)-\w{6}|bench-(\d+)-\d+(?:\.lock)?)$/

/**
 * @param {(pid: number) => boolean} [isOver] whether the run of this process is over; default: whether the process has
 *   ended
 */
export async function removeLeftovers(isOver = hasEnded) {
  const { segments } = await import('../dist/index.js')
  for (const { name } of segments.list()) {
    const pid = segmentName.exec(name)?.[1]
    if (pid !== undefined && isOver(Number(pid))) segments.destroy(name, { force: true })
  }
  for (const folder of new Set([SHARED_MEMORY, tmpdir()])) {
    if (!existsSync(folder)) continue
    for (const name of readdirSync(folder)) {
      const [, ...pids] = fileName.exec(name) ?? []
      const pid = pids.find((each) => each !== undefined)
      if (pid !== undefined && isOver(Number(pid))) rmSync(join(folder, name), { recursive: true, force: true })
    }
  }
}

function hasEnded(pid) {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    // EPERM: the process of another user is running.
    return error.code === 'ESRCH'
  }
}
