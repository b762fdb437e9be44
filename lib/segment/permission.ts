/**
 * Why the system refuses a file: another user has made a file of that name, or another program has changed it.
 *
 * Any user may create a file in `/dev/shm`, also one with the name that a segment of another user would have. It is
 * never opened, so the name stays blocked until the file is deleted.
 */
import { lstatSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { CacheError, fromNative } from '../errors.ts'

/** The folder of POSIX shared memory. */
const SHARED_MEMORY = '/dev/shm'

/** The place of a segment, or of a region: its name is then `cache@region`. */
export interface Place {
  readonly name: string
  readonly directory?: string | undefined
}

/** A native call that opens, reads or destroys a file. Its `ERR_PERMISSION` names that file and says what to do. */
export function callAt<T>(place: Place, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw explained(error, place)
  }
}

/** The error of a native call as a `CacheError`; an `ERR_PERMISSION` with the hint that fits the file. */
export function explained(error: unknown, place: Place): unknown {
  const known = fromNative(error)
  if (!(known instanceof CacheError) || known.code !== 'ERR_PERMISSION') return known
  const hint = hintOf(place)
  return hint === undefined ? known : new CacheError(known.code, known.message, { hint, cause: error })
}

function hintOf({ name, directory = SHARED_MEMORY }: Place): string | undefined {
  const uid = process.geteuid?.()
  const end = `.${uid}.${name}`
  try {
    for (const file of readdirSync(directory)) {
      if (!file.startsWith('cache-machine.') || !file.endsWith(end) || !isLayout(file.slice(14, -end.length))) continue
      const path = join(directory, file)
      const { uid: owner, mode, nlink } = lstatSync(path)
      if (owner !== uid) {
        return (
          `The user ${owner} owns ${path}. If processes of that user share the segment, run all of them as one user. ` +
          'Otherwise the file blocks the name: delete it as that user or as root, or pass a directory that no other ' +
          'user may write.'
        )
      }
      if ((mode & 0o077) !== 0 || nlink > 1) {
        return `Another program replaced ${path}, or changed its mode or names. Delete it; the next open creates it anew.`
      }
    }
  } catch {
    // The folder cannot be read, or the file is gone: the error keeps its general hint.
  }
  return undefined
}

function isLayout(text: string): boolean {
  return /^\d+$/.test(text)
}
