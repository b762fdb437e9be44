/**
 * One native handle of a segment: its number, its raw calls, and the memory that they answer in.
 *
 * Caution: every raw call of any handle of the thread overwrites `ints`, `floats` and `scratch`.
 */
import { CacheError, fromNative, isDetached } from '../errors.ts'
import { native } from '../engine/engine.ts'
import type { NativeDimensions, NativeOpenOptions, NativeOpened, NativeQuota } from '../native/addon.ts'
import type { RawCalls } from '../native/raw-calls.ts'
import type { OpenOptions, ResolvedOptions } from '../arguments/options.ts'
import { warnOfLimit } from './limits.ts'
import { missing } from './missing.ts'
import { warnOfNeighbours } from './neighbours.ts'
import { explained } from './permission.ts'

/**
 * The raw calls and the views of their memory. A plain object: a call costs one property load. Caution: with an
 * accessor of its own V8 would keep it as a dictionary, and each raw call would begin with a search.
 */
export interface SegmentHandle extends Omit<RawCalls, 'meta' | 'scratch'> {
  readonly id: number
  readonly path: string
  /** Bytes of the segment, and its maximum bytes of key and value; both as they are now. Not for hot paths. */
  readonly dimensions: () => NativeDimensions
  readonly rootEpochOffset: number
  readonly epochOffset: number
  readonly tagClockOffset: number
  /** By `MetaInt`. */
  readonly ints: Int32Array
  /** By `MetaFloat`. */
  readonly floats: Float64Array
  readonly scratch: Uint8Array
}

/** How often one call opens its segment again, in case other processes keep destroying it. */
export const MAX_REOPENS = 8

/** The size of a segment is a multiple of a page. */
const PAGE = 4096

/** The warnings that this thread has emitted already. */
const warned = new Set<string>()

/** For tests: the handle of each open cache. A cache that opened its segment again has a new one. */
export const nativeHandles: WeakMap<object, SegmentHandle> = new WeakMap()

/** The options that each cache was opened with, and the folder as an absolute path; to open its segment once more. */
export const givenOptions: WeakMap<object, OpenOptions> = new WeakMap()

/** For tests: changes the raw calls of each handle that is opened from now on, to count or to disable some. */
export const rawCallsHook: { change: (calls: RawCalls) => RawCalls } = { change: (calls) => calls }

/** Opens the segment, or creates it if it may. Throws `CacheError`s. With `mayWait` false it waits for no other process. */
export function openHandle(options: ResolvedOptions, mayWait = true): SegmentHandle {
  const opened = openNative(mayWait ? options.native : { ...options.native, openTimeout: 0 })
  try {
    if (mayWait) resizeIfWanted(opened, options)
    checkMatch(opened, options)
    if (options.native.create !== false) {
      warnOfLimit('segment', options.native.name, opened.path, opened.size)
      warnOfNeighbours(opened.path, options.native)
    }
    return toHandle(opened, rawCallsHook.change(native.rawCalls(opened.id)))
  } catch (error) {
    native.close(opened.id)
    throw fromNative(error)
  }
}

/** Tries again when the segment is destroyed while it is being opened. */
function openNative(options: NativeOpenOptions): NativeOpened {
  for (let tries = 0; ; tries++) {
    try {
      return native.open(options)
    } catch (error) {
      if (!isDetached(error) || tries === MAX_REOPENS) throw explained(missing(error, options), options)
    }
  }
}

/** Calls `run` with a handle of another namespace, without raw calls. Throws `CacheError`s. */
export function withNamespace<T>(
  options: NativeOpenOptions,
  namespace: string,
  run: (id: number) => T,
  quota?: NativeQuota,
): T {
  const { quota: _, ...rest } = options
  const { id } = openNative({ ...rest, namespace, ...(quota !== undefined && { quota }) })
  try {
    return run(id)
  } catch (error) {
    throw fromNative(error)
  } finally {
    native.close(id)
  }
}

/** A handle of a version of the application, which keeps it in use. */
export interface VersionHandle extends Disposable {
  /** Its number in the segment. */
  readonly number: number
}

/** Begins to use a version, without raw calls. Throws `CacheError`s. */
export function openVersion(options: NativeOpenOptions, version: string): VersionHandle {
  const { quota: _, namespace: _namespace, ...rest } = options
  const { id, versionNumber = 0 } = openNative({ ...rest, create: true, version })
  return { number: versionNumber, [Symbol.dispose]: () => native.close(id) }
}

/** Closes a handle. Never throws: a handle that cannot be closed is lost already. */
export function closeHandle(handle: SegmentHandle): void {
  try {
    native.close(handle.id)
  } catch {
    // The segment was lost, or the environment is ending.
  }
}

/** An ordinary native call without a cache. Throws `CacheError`s. */
export function call<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw fromNative(error)
  }
}

function toHandle(opened: NativeOpened, raw: RawCalls): SegmentHandle {
  const { id, path, size, maxEntrySize, rootEpochOffset, epochOffset, tagClockOffset } = opened
  const { meta, scratch, ...calls } = raw
  return {
    id,
    path,
    dimensions: () => dimensions(id) ?? { size, maxEntrySize },
    rootEpochOffset,
    epochOffset,
    tagClockOffset,
    ints: new Int32Array(meta),
    floats: new Float64Array(meta),
    scratch: new Uint8Array(scratch),
    ...calls,
  }
}

/** The present sizes of a segment; undefined for a closed handle. */
function dimensions(id: number): NativeDimensions | undefined {
  try {
    return native.dimensions(id)
  } catch {
    return undefined
  }
}

/** Gives an existing segment the size that `open` asks for, if `onMismatch` says so. */
function resizeIfWanted(opened: NativeOpened, { native: options, wanted, onMismatch }: ResolvedOptions): void {
  const isWanted = onMismatch === 'resize' && wanted.size !== undefined && options.create !== false
  if (!isWanted || opened.created || pages(wanted.size) === opened.size) return
  native.resize(opened.id, wanted.size)
  Object.assign(opened, native.dimensions(opened.id))
}

/** The size that a segment of so many bytes has. */
function pages(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE
}

/** Compares the requested options with those of an existing segment. */
function checkMatch(opened: NativeOpened, { native: { name }, wanted, onMismatch }: ResolvedOptions): void {
  if (opened.created) return
  const differences: string[] = []
  const compare = (what: string, asked: number | string | undefined, found: number | string): void => {
    if (asked !== undefined && asked !== found) differences.push(`${what} ${found} instead of ${asked}`)
  }
  compare('size', wanted.size === undefined ? undefined : pages(wanted.size), opened.size)
  compare('maxEntrySize', wanted.maxEntrySize, opened.maxEntrySize)
  compare('eviction', wanted.eviction, opened.eviction)
  if (differences.length === 0) return

  const message = `the segment "${name}" exists with ${differences.join(', ')}`
  const hint = hintFor(name, differences, wanted.size)
  if (onMismatch === 'throw') throw new CacheError('ERR_SEGMENT_MISMATCH', message, { hint })
  const once = `${opened.path} ${message}`
  if (warned.has(once)) return
  warned.add(once)
  process.emitWarning(message, { type: 'CacheMachineWarning', code: 'CACHE_MACHINE_MISMATCH', detail: hint })
}

/** What to do about the differences. A size alone can be changed while the segment is in use. */
function hintFor(name: string, differences: readonly string[], size: number | undefined): string {
  const others = "Use the same options in all processes, destroy the segment, or open with onMismatch: 'attach'."
  if (size === undefined || differences.length !== 1 || !differences[0]?.startsWith('size ')) return others
  return (
    `Give it this size while it is in use: open with onMismatch: 'resize', call segments.resize('${name}', ${size}), or ` +
    `run cache-machine resize ${name} ${size}. Or use the same size in all processes.`
  )
}
