/**
 * What a run leaves when it is killed: segments, folders, files in shared memory. The next run removes it.
 *
 * Every name has the process id of its run. The thing to get wrong: a run that goes on must keep what it has.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const FOLDER_PREFIX = 'cache-machine-bench-'
const SHARED_MEMORY = '/dev/shm'
const segmentName = /^bench-(\d+)-\d+$/
const fileName = /^(?:cache-machine-bench-(\d+)-\w{6}|bench-(\d+)-\d+(?:\.lock)?)$/

/** @param {(pid: number) => boolean} [isOver] whether the run of this process is over; default: it is gone */
export async function removeLeftovers(isOver = isGone) {
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

function isGone(pid) {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    // Another user's process is there, and its things are not ours.
    return error.code === 'ESRCH'
  }
}
