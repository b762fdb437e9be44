/**
 * Periodic snapshots: of all processes that ask for them, one is elected and writes. When it ends, the next one does.
 */
import { rename } from 'node:fs/promises'
import type { Milliseconds } from '../arguments/units.ts'
import type { Leadership } from '../coordination/elections.ts'
import type { AcquireOptions } from '../coordination/locks.ts'
import { CacheError } from '../errors.ts'
import { startTimer } from '../waiting/timers.ts'
import { isMissing, pathOf } from './files.ts'
import type { SnapshotPath } from './files.ts'
import type { ResolvedKeep, RestoreInfo, RestoreOptions, SnapshotInfo, SnapshotOptions } from './options.ts'
import { OWN_ONCE } from './restore.ts'
import { onSigterm } from './sigterm.ts'

/** The calls of a cache that a keeper makes. */
export interface KeptCache {
  readonly closed: boolean
  elect(name: string, options: AcquireOptions): Promise<Leadership>
  once<T>(name: string, fn: () => Promise<T>): Promise<T>
  snapshot(path: string, options: SnapshotOptions): Promise<SnapshotInfo>
  restore(path: string, options: RestoreOptions): Promise<RestoreInfo>
}

/** Periodic snapshots of a cache, as seen from one process. `await using` stops them at the end of the block. */
export interface SnapshotKeeper extends AsyncDisposable {
  /** The absolute path of the file. */
  readonly path: string
  /**
   * What was restored when the segment was new, by this process or by another. Undefined without a file, after a
   * restore that failed, and with `restore: false`.
   */
  readonly restored: RestoreInfo | undefined
  /** Whether this process writes the snapshots at this moment. */
  readonly leads: boolean
  /**
   * Writes a snapshot now, in this process, whichever is elected: after one that is under way.
   *
   * @throws {CacheError} Rejects as `SharedCache.snapshot`.
   */
  snapshot(): Promise<SnapshotInfo>
  /** Ends the periodic snapshots of this process; one that is under way ends first. A second call does nothing. */
  stop(): Promise<void>
}

/** Restores the file if that is wanted, and begins to wait for the leadership. */
export async function keep(cache: KeptCache, given: SnapshotPath, options: ResolvedKeep): Promise<Keeper> {
  const path = pathOf(given)
  const report = options.onError ?? warn
  let restored: RestoreInfo | undefined
  if (options.restore) {
    try {
      restored = (await cache.once(OWN_ONCE + path, () => restoreIfThere(cache, path))) ?? undefined
    } catch (error) {
      report(error)
    }
  }
  return new Keeper(cache, path, options, report, restored)
}

/** Null without a file. A file that was refused is renamed, so that the next snapshot does not replace it. */
async function restoreIfThere(cache: KeptCache, path: string): Promise<RestoreInfo | null> {
  try {
    return await cache.restore(path, {})
  } catch (error) {
    if (isMissing(error)) return null
    if (error instanceof CacheError && REFUSALS.has(error.code)) await rename(path, `${path}.refused`)
    throw error
  }
}

const REFUSALS: ReadonlySet<string> = new Set(['ERR_SNAPSHOT_CORRUPT', 'ERR_SNAPSHOT_VERSION', 'ERR_SNAPSHOT_SCOPE'])

export class Keeper implements SnapshotKeeper {
  readonly path: string
  readonly restored: RestoreInfo | undefined
  readonly #cache: KeptCache
  readonly #options: ResolvedKeep
  readonly #report: (error: unknown) => void
  readonly #end = new AbortController()
  readonly #forgetSigterm: () => void
  #leadership: Leadership | undefined
  #stopTimer: () => void = () => undefined
  /** The snapshot that is under way, or was last. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(
    cache: KeptCache,
    path: string,
    options: ResolvedKeep,
    report: (error: unknown) => void,
    restored: RestoreInfo | undefined,
  ) {
    this.path = path
    this.restored = restored
    this.#cache = cache
    this.#options = options
    this.#report = report
    this.#forgetSigterm = options.onSigterm ? onSigterm(() => this.#beforeTheEnd()) : () => undefined
    void this.#lead()
  }

  get leads(): boolean {
    return this.#leadership !== undefined && !this.#cache.closed && this.#leadership.leads
  }

  async snapshot(): Promise<SnapshotInfo> {
    const { compression } = this.#options
    const next = this.#last.then(() => this.#cache.snapshot(this.path, { compression }))
    this.#last = next.catch(() => undefined)
    const info = await next
    this.#options.onSnapshot?.(info)
    return info
  }

  async stop(): Promise<void> {
    this.#end.abort()
    this.#stopTimer()
    this.#forgetSigterm()
    await this.#last
    const leadership = this.#leadership
    this.#leadership = undefined
    if (!this.#cache.closed) leadership?.resign()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Waits for the leadership, and for the next one when it is lost, until the cache is closed. */
  async #lead(): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted && !this.#cache.closed) {
      try {
        const leadership = await this.#cache.elect(`cache-machine:snapshots:${this.path}`, { ref: false, signal })
        if (signal.aborted) return void leadership.resign()
        this.#leadership = leadership
        this.#arm()
        await lossOf(leadership)
      } catch (error) {
        if (signal.aborted || this.#cache.closed) break
        this.#report(error)
        await pause(this.#options.every, signal)
      } finally {
        this.#stopTimer()
      }
    }
    this.#forgetSigterm()
  }

  #arm(): void {
    if (this.#end.signal.aborted) return
    this.#stopTimer = startTimer(this.#options.every, false, () => void this.#next())
  }

  async #next(): Promise<void> {
    if (this.leads) await this.#attempt()
    if (this.leads) this.#arm()
  }

  async #attempt(): Promise<void> {
    try {
      await this.snapshot()
    } catch (error) {
      if (!this.#cache.closed) this.#report(error)
    }
  }

  async #beforeTheEnd(): Promise<void> {
    if (this.leads) await this.#attempt()
  }
}

/** Resolves when a leadership is lost. */
async function lossOf({ signal }: Leadership): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** Resolves after this time, or when the signal is aborted. Does not keep the process alive. */
async function pause(time: Milliseconds, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const stopTimer = startTimer(time, false, resolve)
    signal.addEventListener('abort', () => (stopTimer(), resolve()), { once: true })
  })
}

function warn(error: unknown): void {
  const { message, hint } = error as CacheError
  process.emitWarning(message, { type: 'CacheMachineWarning', code: 'CACHE_MACHINE_SNAPSHOT', detail: hint })
}
