/**
 * Regions: named raw bytes in shared memory, as an ArrayBuffer with a lock, for programs with their own layout.
 *
 * Each region has its own segment. It belongs to a cache by name only: the cache need not be open, nor exist. This
 * package never reads or writes the bytes.
 *
 * Caution: the lock is advisory. Every process can write at any time, so data of more than one atomic word must be read
 * under the lock as well.
 */
import { CacheError, codeOfStatus, fromNative, invalid } from '../errors.ts'
import { Status } from '../native/layout.ts'
import type { CacheErrorCode } from '../errors.ts'
import { checkEngine, native } from '../engine/engine.ts'
import type { NativeRegionInfo } from '../native/addon.ts'
import type { NativeRegionCalls } from '../native/raw-calls.ts'
import { accepted, checkObject, checkOptions } from '../arguments/option-names.ts'
import { checkName, resolveBytes, resolvePlace, resolveTimeout } from '../arguments/options.ts'
import type { SegmentOptions } from '../arguments/options.ts'
import { warnOfLimit } from './limits.ts'
import { explained } from './permission.ts'
import type { Place } from './permission.ts'
import { withMoments } from './segments.ts'
import type { DestroyOptions, SegmentProcess } from './segments.ts'
import type { Bytes, Duration, Milliseconds } from '../arguments/units.ts'

/** Options of `openRegion`. All processes must pass the same. */
export interface RegionOptions extends SegmentOptions {
  /** The name of the cache that the region belongs to; part of its identity. The cache need not exist. */
  cache: string
  /** The name of the region: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. */
  name: string
  /** Number of bytes, 1 to `'4gb'`. Memory is allocated at once, in whole pages, with 324 KiB of overhead. */
  size: Bytes
}

/** Options of a region's `lock` and `withLock`. */
export interface RegionLockOptions {
  /**
   * Maximum wait while another thread holds the lock, before `ERR_BUSY`. The lock of a dead holder is free at once. The
   * wait blocks this thread, so the maximum is `'1m'`. Default: `'100ms'`.
   */
  timeout?: Duration | undefined
}

/** A held lock of a region. Garbage collection does not release it; the end of its thread or process does. */
export interface RegionLock extends Disposable {
  /**
   * True if the last holder did not finish: its process or thread ended, its `withLock` function threw, or it called
   * `abandon`. The bytes may be partly changed: check or rebuild them. True for each further holder until one releases
   * the lock.
   */
  readonly recovered: boolean
  /**
   * Releases the lock. A second call does nothing.
   *
   * @throws {CacheError} `ERR_LOCK_LOST` if the region was destroyed or truncated meanwhile: the writes are lost.
   */
  release(): void
  /** Releases the lock; the next holder gets `recovered`, because the bytes may be partly changed. */
  abandon(): void
}

const OPEN_REGION = accepted<RegionOptions>('openRegion', {
  cache: true,
  name: true,
  size: true,
  directory: true,
  group: true,
  engine: true,
})
const LOCK = accepted<RegionLockOptions>('the lock of a region', { timeout: true })

const DEFAULT_TIMEOUT: Milliseconds = 100
const MAX_TIMEOUT: Milliseconds = 60_000

/**
 * Opens a region, or creates it. Synchronous; works in any process and any thread, in any order.
 *
 * @param options `cache`, `name` and `size` are required; see `RegionOptions`.
 * @returns A separate handle for each call. All handles of a name share the same bytes. Users share regions only by
 * `group`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_SEGMENT_MISMATCH` for a region of another size; `ERR_NO_SPACE` if
 * the system refuses the memory; `ERR_PERMISSION` if the file belongs to another user, or if the JavaScript host
 * forbids buffers over foreign memory; `ERR_SEGMENT_VERSION`, `ERR_SEGMENT_CORRUPT` for a file that cannot be used;
 * `ERR_BUSY` while it is being destroyed; `ERR_NATIVE_UNAVAILABLE`.
 * @example
 * const region = openRegion({ cache: 'app', name: 'flags', size: 64 })
 * Atomics.store(new Int32Array(region.buffer), 0, 1)
 */
export function openRegion(options: RegionOptions): Region {
  return new Region(options)
}

/**
 * Named raw bytes that all processes and threads of this user share, initially zero.
 *
 * Views of `buffer` (typed arrays, DataView, Buffer) read and write shared memory directly. `Atomics.load`, `store`,
 * `add`, `compareExchange` and similar functions work on its integer arrays, also between processes. `Atomics.wait`
 * does not, because the buffer is not a SharedArrayBuffer. A worker thread opens the region itself: posting the buffer
 * would copy it.
 *
 * @example
 * using region = openRegion({ cache: 'app', name: 'totals', size: '4kb' })
 * const totals = new Float64Array(region.buffer)
 * region.withLock(({ recovered }) => {
 *   if (recovered) totals.fill(0)
 *   totals[0] += 12.5
 *   totals[1] += 1
 * })
 */
export class Region implements Disposable {
  /** The name of the cache that it belongs to. */
  readonly cache: string
  readonly name: string
  /** Number of bytes: `buffer.byteLength` until it is closed. */
  readonly size: number
  /** Whether this handle created the region. Other processes may have written into it since. */
  readonly created: boolean
  /** The file behind it. */
  readonly path: string
  /**
   * The bytes. `close` detaches the buffer: its length and that of all its views becomes 0. So do not close a region
   * that an asynchronous operation (a file read, a compression) still uses.
   */
  readonly buffer: ArrayBuffer
  readonly #calls: NativeRegionCalls
  /** Undefined after `close`. */
  #id: number | undefined

  /** Use `openRegion`, which does the same. */
  constructor(options: RegionOptions) {
    checkObject(options, OPEN_REGION)
    this.cache = checkName(options.cache, 'cache')
    this.name = checkName(options.name)
    this.size = resolveBytes(options.size, 'size')
    const { cache, name, size } = this
    const place = resolvePlace(options)
    const engine = checkEngine(options.engine)
    const { id, created, path } = call(() => native.regionOpen({ cache, name, size, ...place }, engine), {
      name: `${cache}@${name}`,
      ...place,
    })
    this.created = created
    this.path = path
    // Its memory is allocated already, so only the limit of the cgroup can be lower.
    warnOfLimit('region', `${cache}@${name}`, path, size)
    try {
      this.buffer = present(call(() => native.regionBuffer(id)))
      this.#calls = native.regionCalls(id)
    } catch (error) {
      native.regionClose(id)
      throw error
    }
    this.#id = id
  }

  /** Whether `close` was called. */
  get closed(): boolean {
    return this.#id === undefined
  }

  /**
   * Whether the bytes are still shared. False for ever after the region was destroyed or truncated, or its file
   * replaced: the bytes remain, but only for this process. Costs a few microseconds.
   *
   * @throws {CacheError} `ERR_CLOSED`.
   * @example
   * if (!region.attached) region = reopen(region)
   */
  get attached(): boolean {
    const id = this.#live()
    return call(() => native.regionAttached(id))
  }

  /**
   * Runs `work` under the lock: at most one thread of all processes runs at a time. Blocks this thread while another
   * holds it.
   *
   * @param work Must finish before it returns, at memory speed, because other threads wait meanwhile. Its errors pass
   * through, and then the next holder gets `recovered`.
   * @returns The result of `work`.
   * @throws {CacheError} `ERR_BUSY` if another thread held the lock for longer than `timeout`, and at once if this
   * thread holds it already; `ERR_CLOSED` on a closed handle and for a region that was destroyed or truncated;
   * `ERR_LOCK_LOST` if that happened while `work` ran; `ERR_INVALID_ARGUMENT` for wrong options, and if `work` returned
   * a promise.
   * @example
   * const sum = region.withLock(() => values.reduce((a, b) => a + b))
   */
  withLock<T>(work: (lock: Pick<RegionLock, 'recovered'>) => T, options?: RegionLockOptions): T {
    if (typeof work !== 'function') throw invalid('withLock takes a function', work)
    const lock = this.lock(options)
    try {
      const result = work(lock)
      if (isPromise(result))
        throw invalid(
          'the function of withLock must be synchronous',
          result,
          'ERR_INVALID_ARGUMENT',
          'Use withLock of a cache for asynchronous work.',
        )
      lock.release()
      return result
    } finally {
      lock.abandon() // does nothing after a release
    }
  }

  /**
   * Takes the lock until it is released. Blocks this thread while another holds it. Prefer `withLock`, which always
   * releases it, and distinguishes an error from a success.
   *
   * @throws {CacheError} As `withLock`.
   * @example
   * using lock = region.lock({ timeout: '1s' })
   * if (lock.recovered) rebuild(region.buffer)
   */
  lock(options: RegionLockOptions = {}): RegionLock {
    this.#live()
    checkOptions(options, LOCK)
    const { timeout } = options
    const limit = timeout === undefined ? DEFAULT_TIMEOUT : resolveTimeout(timeout, 'timeout')
    if (limit > MAX_TIMEOUT)
      throw invalid(
        "timeout must be a time of at most '1m', since it blocks the thread",
        timeout,
        'ERR_INVALID_ARGUMENT',
        "Pass at most '1m'.",
      )
    const outcome = this.#calls.lock(limit)
    if (outcome < 0) throw this.#refusal(-outcome, limit)
    return new HeldLock(this, this.#calls, outcome === 1)
  }

  /**
   * Takes the lock if it is free or its holder is dead.
   *
   * @returns Undefined if another thread holds it, or this thread holds it already.
   * @throws {CacheError} `ERR_CLOSED`.
   * @example
   * const lock = region.tryLock()
   * if (lock === undefined) return
   */
  tryLock(): RegionLock | undefined {
    try {
      return this.lock({ timeout: 0 })
    } catch (error) {
      if (error instanceof CacheError && error.code === 'ERR_BUSY') return undefined
      throw error
    }
  }

  /**
   * Closes this handle: its buffer becomes empty, and a lock that it holds is abandoned. The bytes remain for other
   * handles and for later ones. A second call does nothing.
   *
   * @example
   * region.close()
   */
  close(): void {
    const id = this.#id
    if (id === undefined) return
    this.#id = undefined
    native.regionClose(id)
  }

  /** The same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #live(): number {
    if (this.#id !== undefined) return this.#id
    throw new CacheError('ERR_CLOSED', `${this.#what()} is closed`, { hint: HINTS.ERR_CLOSED })
  }

  #refusal(status: number, timeout: Milliseconds): CacheError {
    const what = this.#what()
    switch (status) {
      case Status.Detached: {
        const hint = 'Close the region and open it again.'
        return new CacheError('ERR_CLOSED', `${what} was destroyed or truncated`, { hint })
      }
      case Status.HeldHere: {
        const hint = 'Release it first; a function of withLock must not take the lock of the same region.'
        return new CacheError('ERR_BUSY', `this thread holds the lock of ${what} already, and would wait for itself`, {
          hint,
        })
      }
    }
    const code = codeOfStatus(status)
    if (code !== 'ERR_BUSY')
      return new CacheError(code ?? 'ERR_SEGMENT_CORRUPT', `the lock of ${what} failed with ${status}`)
    return new CacheError(code, `another thread held the lock of ${what} for more than ${timeout} ms`, {
      hint: HINTS[code],
    })
  }

  #what(): string {
    return `the region "${this.name}" of "${this.cache}"`
  }
}

class HeldLock implements RegionLock {
  readonly recovered: boolean
  readonly #region: Region
  readonly #calls: NativeRegionCalls
  #held = true

  constructor(region: Region, calls: NativeRegionCalls, recovered: boolean) {
    this.#region = region
    this.#calls = calls
    this.recovered = recovered
  }

  release(): void {
    if (this.#end(1) !== -Status.Detached) return
    const { cache, name } = this.#region
    throw new CacheError(
      'ERR_LOCK_LOST',
      `the region "${name}" of "${cache}" was destroyed or truncated under its lock`,
      {
        hint: 'Close the region, open it again, and repeat the work: its writes are lost.',
      },
    )
  }

  abandon(): void {
    this.#end(0)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** Once, and not after `close`, which has abandoned the lock. */
  #end(finished: 0 | 1): number {
    const held = this.#held && !this.#region.closed
    this.#held = false
    return held ? this.#calls.unlock(finished) : 0
  }
}

/** Information about a region. Sizes are bytes. */
export interface RegionInfo {
  /** The name of the cache that it belongs to. */
  readonly cache: string
  readonly name: string
  /** The file behind it. */
  readonly path: string
  /** Differs between versions of this package that cannot share a region. */
  readonly layoutVersion: number
  /** False: another layout, or damaged. Then `size` and `createdAt` are not valid. */
  readonly readable: boolean
  readonly size: number
  /** The moment of its creation, in epoch milliseconds. */
  readonly createdAt: number
  /** The live processes that have it open. */
  readonly processes: readonly SegmentProcess[]
}

/** List, inspect and destroy regions of the current user, or of a group that it is in. `segments` does the same for caches, without regions. */
export interface Regions {
  /**
   * All regions of this user, or with `group` those of that group, in POSIX shared memory or in `directory`. A folder that is missing or
   * unreadable has none.
   *
   * @example
   * for (const { cache, name, size } of regions.list()) console.log(cache, name, size)
   */
  list(options?: SegmentOptions): RegionInfo[]
  /**
   * One region, or undefined if there is none of this name.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a wrong name; `ERR_PERMISSION` if this user must not read the file;
   * `ERR_SEGMENT_CORRUPT` if it is too short to be a region.
   * @example
   * regions.inspect('app', 'positions')?.size
   */
  inspect(cache: string, name: string, options?: SegmentOptions): RegionInfo | undefined
  /**
   * Deletes a region. Returns false if there is none of this name. With `force` also while processes have it open: each
   * keeps its bytes, which are no longer shared, and `lock` throws `ERR_CLOSED`.
   *
   * @throws {CacheError} `ERR_SEGMENT_IN_USE` while live processes have it open, including this one, unless `force`;
   * `ERR_BUSY` while another process is opening it, or if one holds its lock for more than 2 seconds: then all its
   * handles have lost it, and the next `destroy` or `openRegion` completes the deletion; `ERR_PERMISSION` if the file
   * belongs to another user, also of the group.
   * @example
   * regions.destroy('app', 'positions')
   */
  destroy(cache: string, name: string, options?: DestroyOptions): boolean
}

const LIST = accepted<SegmentOptions>('regions.list', { directory: true, group: true, engine: true })
const INSPECT = accepted<SegmentOptions>('regions.inspect', { directory: true, group: true, engine: true })
const DESTROY = accepted<DestroyOptions>('regions.destroy', { directory: true, group: true, force: true, engine: true })

/** See `Regions`. */
export const regions: Regions = {
  list(options = {}) {
    checkOptions(options, LIST)
    const place = resolvePlace(options)
    return call(() => native.regionsList(place, checkEngine(options.engine)), place).map(toInfo)
  },

  inspect(cache, name, options = {}) {
    checkOptions(options, INSPECT)
    const place = resolvePlace(options)
    const engine = checkEngine(options.engine)
    const info = call(() => native.regionsInspect(checkName(cache, 'cache'), checkName(name), place, engine), {
      name: `${cache}@${name}`,
      ...place,
    })
    return info === null ? undefined : toInfo(info)
  },

  destroy(cache, name, options = {}) {
    checkOptions(options, DESTROY)
    const place = resolvePlace(options)
    const force = options.force === true
    const engine = checkEngine(options.engine)
    return call(() => native.regionsDestroy(checkName(cache, 'cache'), checkName(name), place, force, engine), {
      name: `${cache}@${name}`,
      ...place,
    })
  },
}

function toInfo(info: NativeRegionInfo): RegionInfo {
  return withMoments(info)
}

/** Hints that differ from those of a cache. */
const HINTS: Partial<Record<CacheErrorCode, string>> = {
  ERR_BUSY:
    'Do only work at memory speed under the lock, or pass a longer timeout. If its holder is suspended (SIGSTOP, ' +
    'a debugger), resume or end it. If this thread holds the lock, release it first.',
  ERR_CLOSED: 'Open the region again, or close it after its last use.',
  ERR_SEGMENT_MISMATCH: 'Pass the same size in all processes, or destroy the region: regions.destroy(cache, name).',
  ERR_SEGMENT_CORRUPT:
    'Destroy it with regions.destroy(cache, name, { force: true }); the next openRegion creates it again.',
  ERR_SEGMENT_IN_USE:
    'Close it in all processes first, or pass force: true; they then keep bytes that are no longer shared.',
}

/** An ordinary native call, with the hints of regions. `place`: the file that it opens, reads or destroys. */
function call<T>(run: () => T, place?: Place): T {
  try {
    return run()
  } catch (error) {
    throw withRegionHint(place === undefined ? error : explained(error, place))
  }
}

function withRegionHint(error: unknown): unknown {
  const known = fromNative(error)
  if (!(known instanceof CacheError) || HINTS[known.code] === undefined) return known
  return new CacheError(known.code, known.message, { hint: HINTS[known.code] })
}

/** The buffer. Throws `ERR_PERMISSION` if the host refused one. */
export function present(buffer: ArrayBuffer | null): ArrayBuffer {
  if (buffer !== null) return buffer
  throw new CacheError('ERR_PERMISSION', 'this JavaScript host forbids an ArrayBuffer over foreign memory', {
    hint: 'Use Node.js itself for regions. Electron and other hosts with V8 memory cages forbid such buffers.',
  })
}

function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
