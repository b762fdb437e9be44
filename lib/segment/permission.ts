/**
 * Why the system refuses a file: another user has made a file of that name, or another program has changed it. Of a
 * group's segment also: the process is not in the group, or does not own what it is to destroy.
 *
 * Any user may create a file in `/dev/shm`, also one with the name that a segment of another user would have. It is
 * never opened, so the name stays blocked until the file is deleted.
 */
import { lstatSync, readdirSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { join } from 'node:path'
import { CacheError, fromNative } from '../errors.ts'
import type { NativePlace } from '../native/addon.ts'

/** The folder of POSIX shared memory. */
const SHARED_MEMORY = '/dev/shm'

/** The place of a segment, or of a region: its name is then `cache@region`. Without a name: that of all of them. */
export interface Place extends NativePlace {
  readonly name?: string
}

/** A native call that opens, reads or destroys a file. Its `ERR_PERMISSION` names that file and says what to do. */
export function callAt<T>(place: Place, run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw explained(error, place)
  }
}

/** The error of a native call as a `CacheError`, with the hint that fits the file or the group. */
export function explained(error: unknown, place: Place): unknown {
  const known = fromNative(error)
  if (!(known instanceof CacheError)) return known
  const hint = hintOf(known, place)
  return hint === undefined ? known : new CacheError(known.code, known.message, { hint, cause: error })
}

function hintOf({ code, message }: CacheError, place: Place): string | undefined {
  if (code === 'ERR_INVALID_ARGUMENT' && message.startsWith('there is no group')) return NO_GROUP
  if (code !== 'ERR_PERMISSION') return undefined
  if (place.group === undefined) return hintOfUser(place)
  return message.includes('is not in the group') ? notInGroup(place.group) : hintOfGroup(place, place.group)
}

const NO_GROUP =
  'Create the group (groupadd), or pass one that there is, by its name or its id. In a container its own /etc/group counts.'

function hintOfUser(place: Place): string | undefined {
  const uid = process.geteuid?.()
  for (const [path, { uid: owner, mode, nlink }] of filesOf(place, `${uid}`)) {
    if (owner !== uid) {
      return (
        `The user ${owner} owns ${path}. If processes of that user share the segment, run all of them as one user, or pass ` +
        'the same group to open in all of them. Otherwise the file blocks the name: delete it as that user or as root, or ' +
        'pass a directory that no other user may write.'
      )
    }
    if ((mode & 0o077) !== 0 || nlink > 1) return replaced(path)
  }
  return undefined
}

function hintOfGroup(place: Place, group: string | number): string | undefined {
  const uid = process.geteuid?.()
  const pattern = typeof group === 'number' ? `g${group}` : 'g\\d+'
  for (const [path, { uid: owner, gid, mode, nlink }] of filesOf(place, pattern)) {
    const isRight = path.includes(`.g${gid}.`) && (mode & 0o7777) === 0o660 && nlink === 1
    if (isRight && owner === uid) continue
    if (isRight) {
      return (
        `The user ${owner} owns ${path}: only that user and root can remove it. To use it, a process must be in the group, ` +
        'and no user outside the group may write its folder.'
      )
    }
    if (owner === uid) return replaced(path)
    return (
      `The user ${owner} owns ${path}, which is no segment of the group. Delete it as that user or as root, or pass a ` +
      'directory that only the group may write.'
    )
  }
  return undefined
}

function notInGroup(group: string | number): string {
  return (
    `Add the user to the group ${group} and start the process anew: usermod -aG; systemd: SupplementaryGroups=; Docker: ` +
    '--group-add; Kubernetes: fsGroup. Or pass a group that the process is in.'
  )
}

function replaced(path: string): string {
  return `Another program replaced ${path}, or changed its mode or names. Delete it; the next open creates it anew.`
}

/** The files of any layout with the name, of the owner in the pattern. None if the folder cannot be read. */
function filesOf({ name, directory }: Place, owner: string): [path: string, stats: Stats][] {
  if (name === undefined) return []
  const folder = directory ?? SHARED_MEMORY
  const ours = new RegExp(String.raw`^cache-machine\.\d+\.${owner}\.${name.replaceAll('.', String.raw`\.`)}$`)
  try {
    const names = readdirSync(folder).filter((file) => ours.test(file))
    return names.map((file) => [join(folder, file), lstatSync(join(folder, file))])
  } catch {
    // The folder cannot be read, or the file is gone: the error keeps its general hint.
    return []
  }
}
