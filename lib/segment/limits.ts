/**
 * The memory that a segment can really have: its size, unless its file system or the memory limit of the cgroup of this
 * process is smaller.
 *
 * Both are read only. A segment that is larger than its limit works: in a small file system it evicts earlier, but
 * beyond the limit of a cgroup the kernel ends processes. So the first `open` of a thread warns.
 */
import { statfsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Milliseconds } from '../arguments/units.ts'
import { isPortablePath } from '../portable/marks.ts'
import { textOf } from './system-files.ts'

/** What limits the memory. */
interface Limit {
  readonly bytes: number
  readonly source: 'size' | 'folder' | 'cgroup'
}

/** For tests: where the kernel shows the cgroups. */
export const cgroupFiles: { own: string; root: string } = { own: '/proc/self/cgroup', root: '/sys/fs/cgroup' }

/** The limit of a cgroup is read again after this time. */
const READ_EVERY: Milliseconds = 1000

/** A cgroup of version 1 without a limit has a number near 2^63. */
const NO_LIMIT = 2 ** 60

let known: { readonly bytes: number; readonly own: string; readonly until: Milliseconds } | undefined

/** The segments that this thread has compared with their limits. */
const compared = new Set<string>()

/** Bytes that the segment behind `path` can have. */
export function limitBytes(path: string, size: number): number {
  return limitOf(path, size).bytes
}

/** Emits a process warning if a segment has a lower limit than its size, once for each segment and thread. */
export function warnOfLimit(what: 'segment' | 'region', name: string, path: string, size: number): void {
  if (compared.has(path)) return
  compared.add(path)
  const { bytes, source } = limitOf(path, size)
  if (source === 'size') return
  const folder = dirname(path)
  const [limit, detail] =
    source === 'folder'
      ? [
          `its folder ${folder} has only ${bytes} (${inMiB(bytes)})`,
          `It evicts entries before it is full. Open a smaller ${what}, enlarge the file system (in Docker: ` +
            '--shm-size), or pass another directory.',
        ]
      : [
          `the memory limit of this process's cgroup is only ${bytes} (${inMiB(bytes)})`,
          `The kernel may end processes when it fills up. Open a smaller ${what}, or raise the limit of the container ` +
            'or service, with room for the heaps of the processes.',
        ]
  process.emitWarning(`the ${what} "${name}" has a size of ${size} bytes (${inMiB(size)}), but ${limit}`, {
    type: 'CacheMachineWarning',
    code: 'CACHE_MACHINE_LIMIT',
    detail,
  })
}

function limitOf(path: string, size: number): Limit {
  const limits: Limit[] = [
    { bytes: size, source: 'size' },
    { bytes: isPortablePath(path) ? Infinity : bytesOfFileSystem(dirname(path)), source: 'folder' },
    { bytes: bytesOfCgroup(), source: 'cgroup' },
  ]
  return limits.reduce((least, limit) => (limit.bytes < least.bytes ? limit : least))
}

/** Infinity: unknown or unlimited. */
function bytesOfFileSystem(folder: string): number {
  try {
    const { blocks, bsize } = statfsSync(folder)
    return blocks * bsize || Infinity
  } catch {
    return Infinity
  }
}

/** The lowest limit of the cgroups around this process, and what the innermost uses, in bytes; undefined: no limit. */
export function limitsOfCgroups(): { limit: number; used: number | undefined } | undefined {
  const limit = bytesOfCgroup()
  if (limit === Infinity) return undefined
  const { own, root } = cgroupFiles
  const usages = readCgroups(own).flatMap(({ path, mounts, file }) => {
    const usage = file === 'memory.max' ? 'memory.current' : 'memory.usage_in_bytes'
    // A container sees its own cgroup as the top of the mount.
    return mounts.flatMap((mount) => [path, '/'].map((folder) => textOf(join(root, mount, folder, usage)).trim()))
  })
  const used = usages.find((text) => /^\d+$/.test(text))
  return { limit, used: used === undefined ? undefined : Number(used) }
}

/** The lowest limit of the cgroup of this process and of those around it. Infinity: none. */
function bytesOfCgroup(): number {
  const { own, root } = cgroupFiles
  const now = performance.now()
  if (known !== undefined && known.own === own && now < known.until) return known.bytes
  const bytes = Math.min(Infinity, ...readCgroups(own).flatMap((cgroup) => limitsAbove(root, cgroup)))
  known = { bytes, own, until: now + READ_EVERY }
  return bytes
}

interface Cgroup {
  readonly path: string
  /** Folders in which its hierarchy is mounted, below the root. */
  readonly mounts: readonly string[]
  readonly file: string
}

/** The cgroup of the unified hierarchy, and that of the memory controller of version 1. */
function readCgroups(own: string): Cgroup[] {
  const lines = textOf(own).split('\n')
  return lines.flatMap((line): Cgroup[] => {
    const [, id, controllers = '', path = '/'] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? []
    if (id === '0') return [{ path, mounts: ['', 'unified'], file: 'memory.max' }]
    if (controllers.split(',').includes('memory')) return [{ path, mounts: ['memory'], file: 'memory.limit_in_bytes' }]
    return []
  })
}

/** A container may see its own cgroup as the top of the mount, so folders that do not exist are skipped. */
function limitsAbove(root: string, { path, mounts, file }: Cgroup): number[] {
  const folders = [path]
  while (folders.at(-1) !== '/') folders.push(dirname(join('/', folders.at(-1) ?? '/')))
  const texts = mounts.flatMap((mount) => folders.map((folder) => textOf(join(root, mount, folder, file)).trim()))
  return texts
    .filter((text) => /^\d+$/.test(text))
    .map(Number)
    .filter((bytes) => bytes < NO_LIMIT)
}

function inMiB(bytes: number): string {
  return `${Math.round((bytes / 2 ** 20) * 10) / 10} MiB`
}
