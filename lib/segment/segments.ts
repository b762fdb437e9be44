/**
 * The segments of this user, without opening a cache: list, inspect, destroy.
 *
 * `destroy` deletes the data of every process, so it refuses while a live process is attached. Closing a cache never
 * destroys a segment.
 */
import { limitBytes } from './limits.ts'
import { callAt } from './permission.ts'
import { checkEngine, native } from '../engine/engine.ts'
import type { NativeProcess, NativeSegmentInfo } from '../native/addon.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { checkName, resolvePlace } from '../arguments/options.ts'
import type { SegmentOptions } from '../arguments/options.ts'

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

/** List, inspect and destroy segments of the current user, or of a group that it is in. */
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
const DESTROY = accepted<DestroyOptions>('segments.destroy', {
  directory: true,
  group: true,
  force: true,
  engine: true,
})

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
