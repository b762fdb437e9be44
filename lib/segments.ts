/**
 * The segments of this user from outside: what there is, who is attached, and how to get rid of one.
 *
 * Nothing here opens a cache or needs one. The thing to get wrong: `destroy` takes the data away from everybody, so it
 * refuses while a live process is attached; closing a cache never destroys anything.
 */
import { call } from './handle.ts'
import { native } from './native.ts'
import type { NativeSegmentInfo } from './native.ts'
import { checkName, resolveDirectory } from './options.ts'
import type { SegmentOptions } from './options.ts'

/** A process that is attached to a segment. */
export interface SegmentProcess {
  /** Its number in its own PID namespace, which need not be ours. */
  readonly pid: number
  /** When it attached, in epoch milliseconds. */
  readonly attachedAt: number
}

/** What can be seen of a segment. All sizes are bytes. */
export interface SegmentInfo {
  readonly name: string
  /** The file behind it. */
  readonly path: string
  /** The memory limit: what `open` was asked for, rounded up to pages. */
  readonly size: number
  /** Taken from the system so far. */
  readonly reservedBytes: number
  /** Differs between versions of this package that cannot share a segment. */
  readonly layoutVersion: number
  /** False: of another layout, or damaged; then the fields below say nothing, but for `processes`. */
  readonly readable: boolean
  /** In epoch milliseconds. */
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
  /** Also while processes are attached: they notice, emit `detached`, and open a new, empty segment. Default: false. */
  force?: boolean | undefined
}

/** List, inspect and destroy segments of the current user. */
export interface Segments {
  /**
   * All segments of this user, in POSIX shared memory or in `directory`, also those of other versions of this package. A
   * folder that is not there or cannot be read has none.
   *
   * @example
   * for (const { name, entries, processes } of segments.list()) console.log(name, entries, processes.length)
   */
  list(options?: SegmentOptions): SegmentInfo[]
  /**
   * One segment, or undefined if there is none of this name.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a bad name; `ERR_PERMISSION` if the file is not ours to read.
   * @example
   * segments.inspect('app')?.processes.map(({ pid }) => pid)
   */
  inspect(name: string, options?: SegmentOptions): SegmentInfo | undefined
  /**
   * Removes a segment and everything in it. Returns false if there is none of this name.
   *
   * @throws {CacheError} `ERR_SEGMENT_IN_USE` while live processes are attached, this one included, unless `force`;
   * `ERR_BUSY` while others are just opening it; `ERR_PERMISSION` if the file is not ours.
   * @example
   * segments.destroy('app')
   */
  destroy(name: string, options?: DestroyOptions): boolean
}

/** See `Segments`. */
export const segments: Segments = {
  list(options = {}) {
    const { directory } = resolveDirectory(options.directory)
    return call(() => native.segmentsList(directory)).map(toInfo)
  },

  inspect(name, options = {}) {
    const { directory } = resolveDirectory(options.directory)
    const info = call(() => native.segmentsInspect(checkName(name), directory))
    return info === null ? undefined : toInfo(info)
  },

  destroy(name, options = {}) {
    const { directory } = resolveDirectory(options.directory)
    return call(() => native.segmentsDestroy(checkName(name), directory, options.force === true))
  },
}

function toInfo({ age, processes, ...info }: NativeSegmentInfo): SegmentInfo {
  const now = Date.now()
  return {
    ...info,
    createdAt: Math.round(now - age),
    processes: processes.map((process) => ({ pid: process.pid, attachedAt: Math.round(now - process.age) })),
  }
}
