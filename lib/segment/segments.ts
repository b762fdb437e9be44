/**
 * The segments of this user, without opening a cache: list, inspect, resize, destroy.
 *
 * `destroy` deletes the data of every process, so it refuses while a live process is attached. Closing a cache never
 * destroys a segment.
 */
import { limitBytes } from './limits.ts'
import { callAt } from './permission.ts'
import { checkEngine, native } from '../engine/engine.ts'
import type { NativeProcess, NativeSegmentInfo } from '../native/addon.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { checkName, resolveBytes, resolvePlace } from '../arguments/options.ts'
import type { SegmentOptions } from '../arguments/options.ts'
import type { Bytes, Milliseconds } from '../arguments/units.ts'

/** A process that is attached to a segment. */
export interface SegmentProcess {
  /** The process id in the PID namespace of that process, which may differ from that of this process. */
  readonly pid: number
  /** The moment of its attachment, in epoch milliseconds. */
  readonly attachedAt: number
  /** The version of this package that it runs. Empty if it is not known. */
  readonly packageVersion: string
}

/** Information about a segment. All sizes are bytes. */
export interface SegmentInfo {
  readonly name: string
  /** The file behind it. */
  readonly path: string
  /** The memory limit: the `size` of `open`, rounded up to pages. */
  readonly size: number
  /**
   * The memory that it can really have, as seen from this process: `size`, or less if its file system or the memory
   * limit of the cgroup of this process is smaller.
   */
  readonly limitBytes: number
  /** Memory allocated from the system so far, as `du` shows it. */
  readonly reservedBytes: number
  /** Differs between versions of this package that cannot share a segment. */
  readonly layoutVersion: number
  /** False: another layout, or damaged. Then only `processes` of the fields below is valid. */
  readonly readable: boolean
  /** The moment of its creation, in epoch milliseconds. */
  readonly createdAt: number
  readonly eviction: string
  readonly maxEntrySize: number
  readonly shards: number
  readonly entries: number
  readonly usedBytes: number
  readonly capacityBytes: number
  /** The live processes that have it open. */
  readonly processes: readonly SegmentProcess[]
}

/** Options of `segments.destroy`. */
export interface DestroyOptions extends SegmentOptions {
  /**
   * Destroy it even while processes are attached: they emit `detached` and open a new, empty segment. Default: false.
   */
  force?: boolean | undefined
}

/** The result of `segments.resize`. */
export interface ResizeResult {
  /** The size before, in bytes. */
  readonly from: number
  /** The size now, in bytes: the one that was asked for, rounded up to pages. */
  readonly to: number
  /** The number of entries that it has now, those of all namespaces. */
  readonly entries: number
  /** The number of entries that had no room in a smaller segment, states of limiters included. */
  readonly evicted: number
  /** How long writers waited, in milliseconds. Readers did not. */
  readonly pausedMs: number
}

/** List, inspect, resize and destroy segments of the current user, or of a group that it is in. */
export interface Segments {
  /**
   * All segments of this user, or with `group` those of that group, in POSIX shared memory or in `directory`, also those
   * of other versions of this package. A folder that is missing or unreadable has none.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a group that there is not; `ERR_PERMISSION` for one that this process
   * is not in. So do the other functions.
   * @example
   * for (const { name, entries, processes } of segments.list()) console.log(name, entries, processes.length)
   */
  list(options?: SegmentOptions): SegmentInfo[]
  /**
   * One segment, or undefined if there is none of this name.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a wrong name; `ERR_PERMISSION` if this user must not read the file.
   * @example
   * segments.inspect('app')?.processes.map(({ pid }) => pid)
   */
  inspect(name: string, options?: SegmentOptions): SegmentInfo | undefined
  /**
   * Gives a segment another size while processes use it. Entries with their versions, lifetimes and tags, locks,
   * semaphores, limiters, metrics, loads and counts stay; waits, watches and subscriptions go on. Reads go on meanwhile,
   * and writes of all processes wait; the call blocks this thread. A segment that becomes too small evicts as its policy
   * says. Both sizes need memory at once, until all processes have moved. Every handle emits `resized`. The segment keeps
   * an explicit `maxEntrySize`; otherwise the new size has its own default.
   *
   * @param size Its size: bytes, or text such as `'256mb'`; from 2 MiB to 1 TiB. The present size changes nothing.
   * @throws {CacheError} `ERR_NO_SEGMENT` if there is none of this name; `ERR_NO_SPACE` if there is no memory for both
   * sizes, or if locks, metrics, reserves, or entries that may not be evicted do not fit: then nothing is changed;
   * `ERR_INVALID_ARGUMENT` for an impossible size; `ERR_BUSY` if a suspended process is in the way; `ERR_PERMISSION` if
   * the file belongs to another user, also of the group.
   * @example
   * const { evicted, pausedMs } = segments.resize('app', '256mb')
   */
  resize(name: string, size: Bytes, options?: SegmentOptions): ResizeResult
  /**
   * Deletes a segment with all its data. Returns false if there is none of this name.
   *
   * @throws {CacheError} `ERR_SEGMENT_IN_USE` while live processes are attached, including this one, unless `force`;
   * `ERR_BUSY` while another process is opening it; `ERR_PERMISSION` if the file belongs to another user, also of the group.
   * @example
   * segments.destroy('app')
   */
  destroy(name: string, options?: DestroyOptions): boolean
}

const LIST = accepted<SegmentOptions>('segments.list', { directory: true, group: true, engine: true })
const INSPECT = accepted<SegmentOptions>('segments.inspect', { directory: true, group: true, engine: true })
const RESIZE = accepted<SegmentOptions>('segments.resize', { directory: true, group: true, engine: true })
const DESTROY = accepted<DestroyOptions>('segments.destroy', {
  directory: true,
  group: true,
  force: true,
  engine: true,
})
/** As that of `open`. */
const WRITE_TIMEOUT: Milliseconds = 100

/** See `Segments`. */
export const segments: Segments = {
  list(options = {}) {
    checkOptions(options, LIST)
    const place = resolvePlace(options)
    return callAt(place, () => native.segmentsList(place, checkEngine(options.engine))).map(toInfo)
  },

  inspect(name, options = {}) {
    checkOptions(options, INSPECT)
    const place = resolvePlace(options)
    const info = callAt({ name, ...place }, () =>
      native.segmentsInspect(checkName(name), place, checkEngine(options.engine)),
    )
    return info === null ? undefined : toInfo(info)
  },

  resize(name, size, options = {}) {
    checkOptions(options, RESIZE)
    const place = resolvePlace(options)
    const engine = checkEngine(options.engine)
    const bytes = resolveBytes(size, 'size')
    return callAt({ name, ...place }, () => {
      const visitor = {
        name: checkName(name),
        ...place,
        size: bytes,
        eviction: 's3-fifo',
        lockMemory: false,
        manualClock: false,
      }
      const handle = native.open({ ...visitor, writeTimeout: WRITE_TIMEOUT, create: false, ...(engine && { engine }) })
      try {
        const resized = native.resize(handle.id, bytes)
        const { entries } = native.segmentsInspect(name, place, engine) ?? { entries: 0 }
        return { ...(resized ?? { from: handle.size, to: handle.size, evicted: 0, pausedMs: 0 }), entries }
      } finally {
        native.close(handle.id)
      }
    })
  },

  destroy(name, options = {}) {
    checkOptions(options, DESTROY)
    const place = resolvePlace(options)
    return callAt({ name, ...place }, () =>
      native.segmentsDestroy(checkName(name), place, options.force === true, checkEngine(options.engine)),
    )
  },
}

function toInfo(info: NativeSegmentInfo): SegmentInfo {
  return { ...withMoments(info), limitBytes: limitBytes(info.path, info.size) }
}

/** Native information about a segment or a region, with ages turned into moments. */
export function withMoments<I extends { age: number; processes: NativeProcess[] }>({
  age,
  processes,
  ...info
}: I): Omit<I, 'age' | 'processes'> & { createdAt: number; processes: SegmentProcess[] } {
  const now = Date.now()
  return {
    ...info,
    createdAt: Math.round(now - age),
    processes: processes.map(({ pid, age: since, packageVersion }) => ({
      pid,
      attachedAt: Math.round(now - since),
      packageVersion,
    })),
  }
}
