/**
 * Regions: named raw bytes in shared memory, as an ArrayBuffer with a lock, for those who bring a layout of their own.
 *
 * A region is a segment of its own. It belongs to a cache by name only: the cache need not be open, nor exist. What is in
 * the bytes is the program's affair; this package never looks at them. The thing to get wrong: the lock protects by
 * agreement. Everybody can write at any time, so whatever is more than one atomic word must be read under it, too.
 */
import { CacheError, Status, codeOfStatus, fromNative, invalid } from './errors.ts'
import type { CacheErrorCode } from './errors.ts'
import { native } from './native.ts'
import type { NativeRegionCalls, NativeRegionInfo } from './native.ts'
import { checkName, resolveBytes, resolveDirectory, resolveTimeout } from './options.ts'
import type { SegmentOptions } from './options.ts'
import type { DestroyOptions, SegmentProcess } from './segments.ts'
import type { Bytes, Duration, Milliseconds } from './units.ts'

/** Options of `openRegion`. All processes pass the same. */
export interface RegionOptions extends SegmentOptions {
  /** Name of the cache that the region belongs to, by which it is told from others'. The cache need not exist. */
  cache: string
  /** Its own name: 1 to 64 of `A-Z a-z 0-9 . _ -`. */
  name: string
  /** Number of its bytes, 1 to `'4gb'`. Memory is taken in whole pages, at once, and 324 KiB for the book-keeping. */
  size: Bytes
}

/** Options of a region's `lock` and `withLock`. */
export interface RegionLockOptions {
  /**
   * Longest wait while others hold the lock, before `ERR_BUSY`; a dead holder is not waited for. The wait blocks this
   * thread, so it is `'1m'` at most. Default: `'100ms'`.
   */
  timeout?: Duration | undefined
}

/** A region's lock, held. Not released by garbage collection, but by the end of its thread or process. */
export interface RegionLock extends Disposable {
  /**
   * The last holder did not finish: its process or thread ended, its `withLock` function threw, or it called `abandon`. The
   * bytes may be half-changed: check or rebuild them. True for every next holder until one has released the lock.
   */
  readonly recovered: boolean
  /**
   * Lets the next one in. A second call does nothing.
   *
   * @throws {CacheError} `ERR_LOCK_LOST` if the region was destroyed or truncated meanwhile: what was written is lost.
   */
  release(): void
  /** Lets the next one in and tells it, by `recovered`, that the bytes are not as they should be. */
  abandon(): void
}

const DEFAULT_TIMEOUT: Milliseconds = 100
const LONGEST_TIMEOUT: Milliseconds = 60_000

/**
 * Opens a region, or creates it. Synchronous; works in any process and any thread, in any order.
 *
 * @param options `cache`, `name` and `size` are required; see `RegionOptions`.
 * @returns A handle of its own for each call. All handles of a name have the same bytes, and none is shared with other users.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; `ERR_SEGMENT_MISMATCH` for a region of another size; `ERR_NO_SPACE` if the
 * memory cannot be had; `ERR_PERMISSION` if the file is not ours, or if the JavaScript host allows no buffers over memory that
 * is not its own; `ERR_SEGMENT_VERSION`, `ERR_SEGMENT_CORRUPT` for a file that cannot be used; `ERR_BUSY` while it is being
 * destroyed; `ERR_NATIVE_UNAVAILABLE`.
 * @example
 * const region = openRegion({ cache: 'app', name: 'flags', size: 64 })
 * Atomics.store(new Int32Array(region.buffer), 0, 1)
 */
export function openRegion(options: RegionOptions): Region {
  return new Region(options)
}

/**
 * Named raw bytes that all processes and threads of this user share, zeros at first.
 *
 * Views of `buffer` (typed arrays, DataView, Buffer) read and write shared memory itself. `Atomics.load`, `store`, `add`,
 * `compareExchange` and the others work on its integer arrays, between processes too; `Atomics.wait` does not, since the
 * buffer is no SharedArrayBuffer. A worker thread opens the region by itself: posting the buffer would copy it.
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
  /** Name of the cache that it belongs to. */
  readonly cache: string
  readonly name: string
  /** Number of its bytes, which is `buffer.byteLength` until it is closed. */
  readonly size: number
  /** Whether this handle made it. Others may have been quicker to write into it all the same. */
  readonly created: boolean
  /** The file behind it. */
  readonly path: string
  /**
   * The bytes. `close` empties it: its length and that of all its views is 0 from then on. So close nothing that an
   * asynchronous operation (a file read, a compression) is still working on.
   */
  readonly buffer: ArrayBuffer
  readonly #calls: NativeRegionCalls
  /** Undefined once closed. */
  #id: number | undefined

  /** Use `openRegion`, which does the same. */
  constructor(options: RegionOptions) {
    if (typeof options !== 'object' || options === null) throw invalid('openRegion takes an object', options)
    this.cache = checkName(options.cache, 'cache')
    this.name = checkName(options.name)
    this.size = resolveBytes(options.size, 'size')
    const { cache, name, size } = this
    const folder = resolveDirectory(options.directory)
    const { id, created, path } = told(() => native.regionOpen({ cache, name, size, ...folder }))
    this.created = created
    this.path = path
    try {
      this.buffer = present(told(() => native.regionBuffer(id)))
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
   * Whether others still have the same bytes. False for good once the region was destroyed, truncated, or its file replaced:
   * the bytes are still there, and nobody else's. Costs a few microseconds.
   *
   * @throws {CacheError} `ERR_CLOSED`.
   * @example
   * if (!region.attached) region = reopen(region)
   */
  get attached(): boolean {
    const id = this.#live()
    return told(() => native.regionAttached(id))
  }

  /**
   * Does something under the lock: at most one thread of all processes is inside. Blocks this thread while another is.
   *
   * @param work Does it all before it returns, at memory speed; everybody else waits meanwhile. A throw is passed on, and the
   * next holder is told by `recovered`.
   * @returns What `work` returned.
   * @throws {CacheError} `ERR_BUSY` if others held the lock for longer than `timeout`, and at once if this thread holds it already;
   * `ERR_CLOSED` on a closed handle and for a region that was destroyed or truncated; `ERR_LOCK_LOST` if that happened while
   * `work` ran; `ERR_INVALID_ARGUMENT` for wrong options, and if `work` returned a promise.
   * @example
   * const sum = region.withLock(() => values.reduce((a, b) => a + b))
   */
  withLock<T>(work: (lock: Pick<RegionLock, 'recovered'>) => T, options?: RegionLockOptions): T {
    if (typeof work !== 'function') throw invalid('withLock takes a function', work)
    const lock = this.lock(options)
    try {
      const result = work(lock)
      if (isPromise(result)) throw invalid('the function of withLock must do its work before it returns', result)
      lock.release()
      return result
    } finally {
      lock.abandon() // nothing, unless something was thrown
    }
  }

  /**
   * Takes the lock until it is released. Blocks this thread while another has it. Prefer `withLock`, which cannot forget to
   * release it, and tells an error from a success.
   *
   * @throws {CacheError} As `withLock`.
   * @example
   * using lock = region.lock({ timeout: '1s' })
   * if (lock.recovered) rebuild(region.buffer)
   */
  lock(options: RegionLockOptions = {}): RegionLock {
    this.#live()
    const { timeout } = options
    const limit = timeout === undefined ? DEFAULT_TIMEOUT : resolveTimeout(timeout, 'timeout')
    if (limit > LONGEST_TIMEOUT) throw invalid("timeout must be at most '1m', since it blocks the thread", timeout)
    const outcome = this.#calls.lock(limit)
    if (outcome < 0) throw this.#refusal(-outcome, limit)
    return new HeldLock(this, this.#calls, outcome === 1)
  }

  /**
   * Takes the lock if that needs no wait; from a dead holder it does not.
   *
   * @returns Undefined if another has it, or this thread has it already.
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
   * Gives up this handle: its buffer is empty from now on, and a lock that it holds is abandoned. The bytes stay for others and
   * for the next one who opens the region. A second call does nothing.
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
        const hint = 'Close it and open it again.'
        return new CacheError('ERR_CLOSED', `${what} was destroyed or truncated`, { hint })
      }
      case Status.HeldHere: {
        const hint = 'Release it first; a function of withLock takes no lock of the same region.'
        return new CacheError('ERR_BUSY', `this thread holds the lock of ${what} already, and would wait for itself`, {
          hint,
        })
      }
    }
    const code = codeOfStatus[status]
    if (code !== 'ERR_BUSY')
      return new CacheError(code ?? 'ERR_SEGMENT_CORRUPT', `the lock of ${what} failed with ${status}`)
    return new CacheError(code, `others held the lock of ${what} for more than ${timeout} ms`, { hint: HINTS[code] })
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
        hint: 'What was written is lost. Close the region, open it again, and repeat the work.',
      },
    )
  }

  abandon(): void {
    this.#end(0)
  }

  [Symbol.dispose](): void {
    this.release()
  }

  /** Once, and not after `close`, which has abandoned it. */
  #end(finished: 0 | 1): number {
    const held = this.#held && !this.#region.closed
    this.#held = false
    return held ? this.#calls.unlock(finished) : 0
  }
}

/** What can be seen of a region. Sizes are bytes. */
export interface RegionInfo {
  /** Name of the cache that it belongs to. */
  readonly cache: string
  readonly name: string
  /** The file behind it. */
  readonly path: string
  /** Differs between versions of this package that cannot share a region. */
  readonly layoutVersion: number
  /** False: of another layout, or damaged; then `size` and `createdAt` say nothing. */
  readonly readable: boolean
  readonly size: number
  /** In epoch milliseconds. */
  readonly createdAt: number
  /** The live processes that have it open. */
  readonly processes: readonly SegmentProcess[]
}

/** List, inspect and destroy regions of the current user; `segments` does the same with caches, and leaves regions out. */
export interface Regions {
  /**
   * All regions of this user, in POSIX shared memory or in `directory`. A folder that is not there or cannot be read has none.
   *
   * @example
   * for (const { cache, name, size } of regions.list()) console.log(cache, name, size)
   */
  list(options?: SegmentOptions): RegionInfo[]
  /**
   * One region, or undefined if there is none of this name.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a bad name; `ERR_PERMISSION` if the file is not ours to read;
   * `ERR_SEGMENT_CORRUPT` if it is too short to be a region.
   * @example
   * regions.inspect('app', 'positions')?.size
   */
  inspect(cache: string, name: string, options?: SegmentOptions): RegionInfo | undefined
  /**
   * Removes a region. Returns false if there is none of this name. With `force` also while processes have it open: they
   * keep the bytes, which nobody else has from then on, and `lock` throws `ERR_CLOSED`.
   *
   * @throws {CacheError} `ERR_SEGMENT_IN_USE` while live processes have it open, this one included, unless `force`; `ERR_BUSY`
   * while others are just opening it, or if one holds its lock for more than 2 seconds: then it is lost to all its handles, and
   * the next `destroy` or `openRegion` finishes; `ERR_PERMISSION` if the file is not ours.
   * @example
   * regions.destroy('app', 'positions')
   */
  destroy(cache: string, name: string, options?: DestroyOptions): boolean
}

/** See `Regions`. */
export const regions: Regions = {
  list(options = {}) {
    const { directory } = resolveDirectory(options.directory)
    return told(() => native.regionsList(directory)).map(toInfo)
  },

  inspect(cache, name, options = {}) {
    const { directory } = resolveDirectory(options.directory)
    const info = told(() => native.regionsInspect(checkName(cache, 'cache'), checkName(name), directory))
    return info === null ? undefined : toInfo(info)
  },

  destroy(cache, name, options = {}) {
    const { directory } = resolveDirectory(options.directory)
    const force = options.force === true
    return told(() => native.regionsDestroy(checkName(cache, 'cache'), checkName(name), directory, force))
  },
}

function toInfo({ age, processes, ...info }: NativeRegionInfo): RegionInfo {
  const now = Date.now()
  return {
    ...info,
    createdAt: Math.round(now - age),
    processes: processes.map((process) => ({ pid: process.pid, attachedAt: Math.round(now - process.age) })),
  }
}

/** Hints where those of a cache would mislead. */
const HINTS: Partial<Record<CacheErrorCode, string>> = {
  ERR_BUSY:
    'The lock is for work at memory speed. Who holds it may be slower than the timeout, stopped (SIGSTOP, a debugger), or ' +
    'this very thread.',
  ERR_CLOSED: 'Open the region again, or close it later.',
  ERR_SEGMENT_MISMATCH: 'Pass the same size in all processes, or destroy the region: regions.destroy(cache, name).',
  ERR_SEGMENT_CORRUPT:
    'Destroy it with regions.destroy(cache, name, { force: true }); it is made anew by the next openRegion.',
  ERR_SEGMENT_IN_USE:
    'Close it in all processes first, or pass force: true; they then keep bytes that nobody else has any more.',
}

function told<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw inRegionWords(error)
  }
}

function inRegionWords(error: unknown): unknown {
  const known = fromNative(error)
  if (!(known instanceof CacheError) || HINTS[known.code] === undefined) return known
  return new CacheError(known.code, known.message, { hint: HINTS[known.code] })
}

/** The buffer, or an error where the host has refused one. */
export function present(buffer: ArrayBuffer | null): ArrayBuffer {
  if (buffer !== null) return buffer
  throw new CacheError('ERR_PERMISSION', 'this JavaScript host allows no ArrayBuffer over memory that is not its own', {
    hint: 'Regions need Node.js itself. Electron and other hosts with V8 memory cages cannot show them.',
  })
}

function isPromise(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}
