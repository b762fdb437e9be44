/**
 * One opened segment as the native side sees it: its number, its raw calls, and the memory they answer in.
 *
 * A `SharedCache` has one at a time and gets another when its segment was destroyed under it. The thing to get wrong:
 * `ints`, `floats` and `scratch` are overwritten by every raw call of the same handle.
 */
import { CacheError, fromNative, isDetached } from './errors.ts'
import { native } from './native.ts'
import type { NativeOpenOptions, NativeOpened, RawCalls } from './native.ts'
import type { ResolvedOptions } from './options.ts'
import { rawCalls } from './testing.ts'

/** The raw calls beside the views of their memory; a plain object, so that a call costs one property load. */
export interface Handle extends Omit<RawCalls, 'meta' | 'scratch'> {
  readonly id: number
  readonly path: string
  readonly maxEntrySize: number
  readonly rootEpochOffset: number
  readonly epochOffset: number
  readonly tagClockOffset: number
  /** By `MetaInt`. */
  readonly ints: Int32Array
  /** By `MetaFloat`. */
  readonly floats: Float64Array
  readonly scratch: Uint8Array
}

/** How often one call opens its segment anew: others may destroy it again and again, but not each time. */
export const MOST_REOPENS = 8

/** Segments change in units of a page. */
const PAGE = 4096

/** What was warned of already, in this thread. */
const warned = new Set<string>()

/** Opens the segment, or creates it. Throws `CacheError`s. */
export function openHandle(options: ResolvedOptions): Handle {
  const opened = openNative(options.native)
  try {
    checkMatch(opened, options)
    return toHandle(opened, rawCalls.change(native.rawCalls(opened.id)))
  } catch (error) {
    native.close(opened.id)
    throw fromNative(error)
  }
}

/** As often as others destroy the segment while it is opened, up to a bound. */
function openNative(options: NativeOpenOptions): NativeOpened {
  for (let tries = 0; ; tries++) {
    try {
      return native.open(options)
    } catch (error) {
      if (!isDetached(error) || tries === MOST_REOPENS) throw fromNative(error)
    }
  }
}

/** Gives back what `openHandle` took. Never throws: what cannot be closed is gone already. */
export function closeHandle(handle: Handle): void {
  try {
    native.close(handle.id)
  } catch {
    // The segment was lost, or the environment is ending.
  }
}

/** An ordinary native call, with its errors as `CacheError`s. */
export function call<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw fromNative(error)
  }
}

function toHandle(opened: NativeOpened, raw: RawCalls): Handle {
  const { id, path, maxEntrySize, rootEpochOffset, epochOffset, tagClockOffset } = opened
  const { meta, scratch, ...calls } = raw
  return {
    id,
    path,
    maxEntrySize,
    rootEpochOffset,
    epochOffset,
    tagClockOffset,
    ints: new Int32Array(meta),
    floats: new Float64Array(meta),
    scratch: new Uint8Array(scratch),
    ...calls,
  }
}

/** Compares what the caller asked for with what was found. A segment just created is what was asked for. */
function checkMatch(opened: NativeOpened, { native: { name }, wanted, onMismatch }: ResolvedOptions): void {
  if (opened.created) return
  const differences: string[] = []
  const compare = (what: string, asked: number | string | undefined, found: number | string): void => {
    if (asked !== undefined && asked !== found) differences.push(`${what} ${found} instead of ${asked}`)
  }
  compare('size', wanted.size === undefined ? undefined : Math.ceil(wanted.size / PAGE) * PAGE, opened.size)
  compare('maxEntrySize', wanted.maxEntrySize, opened.maxEntrySize)
  compare('eviction', wanted.eviction, opened.eviction)
  if (differences.length === 0) return

  const message = `the segment "${name}" exists with ${differences.join(', ')}`
  if (onMismatch === 'throw') throw new CacheError('ERR_SEGMENT_MISMATCH', message)
  const once = `${opened.path} ${message}`
  if (warned.has(once)) return
  warned.add(once)
  const { hint } = new CacheError('ERR_SEGMENT_MISMATCH', message)
  process.emitWarning(message, { type: 'CacheMachineWarning', code: 'CACHE_MACHINE_MISMATCH', detail: hint })
}
