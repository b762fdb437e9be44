/**
 * The metrics of all workers in a segment, for prom-client: what each worker published last, and the sums that dead
 * workers left.
 *
 * ```text
 * worker:<id>    entry: the snapshot of a worker          lock: held while the worker lives
 * past           entry: the sums of dead workers, and the ids of those that they contain
 * ```
 *
 * The lease of a process decides whether its lock is held, so a worker counts as living until its thread or process
 * ends, in any PID namespace. A dead worker is added to the past once: its id goes into the list of the past in the same
 * change, and only then its snapshot is deleted. So a reader takes the snapshots first and the past after them, and
 * leaves out snapshots that the past contains. An id is used once.
 *
 * Each worker remembers the past that it read, and restores it after a `clear` of the cache.
 */
import { randomBytes } from 'node:crypto'
import type { CacheStore, MessageBus } from '../../cache/store.ts'
import type { NamespaceOptions } from '../../arguments/options.ts'
import { CacheError } from '../../errors.ts'
import { addUp, outlives } from './prometheus-data.ts'
import type { PromMetric } from './prometheus-data.ts'

/** What the adapter needs of the namespace that it uses. */
export interface PrometheusSpace extends CacheStore, MessageBus {
  tryLock(key: string): { readonly held: boolean; release(): boolean } | undefined
  update(key: string, change: (value: unknown) => unknown): unknown
}

/** What the adapter needs of a cache. */
export interface PrometheusCache {
  namespace(name: string, options?: NamespaceOptions): PrometheusSpace
}

/** The snapshot of a worker, or what dead workers left. */
export interface Snapshot {
  /** The start of the worker, in epoch milliseconds; 0 for dead workers. */
  readonly started: number
  readonly metrics: readonly PromMetric[]
}

interface Past {
  /** How many workers were added. */
  readonly folds: number
  /** The ids of the last ones, and of those that still have a snapshot. */
  readonly ids: readonly string[]
  readonly metrics: readonly PromMetric[]
}

/** The metrics of all workers. */
export interface AllWorkers {
  /** Of the other living workers. */
  readonly living: readonly Snapshot[]
  /** Of dead workers: only what outlives them. */
  readonly past: readonly Snapshot[]
}

const PAST = 'past'
const PREFIX = 'worker:'
/** Ids that the past remembers after their snapshots are gone: a reader may still have one of them. */
const MAX_IDS = 256
const NONE: Past = { folds: 0, ids: [], metrics: [] }

/** One worker among all. */
export class PrometheusWorkers {
  readonly started: number = Date.now()
  readonly #space: PrometheusSpace
  readonly #report: (error: unknown) => void
  #id = newId()
  #presence: { readonly held: boolean; release(): boolean } | undefined
  #past: Past = NONE

  /** @param report Gets what goes wrong with the dead. */
  constructor(space: PrometheusSpace, report: (error: unknown) => void) {
    this.#space = space
    this.#report = report
  }

  /**
   * Stores the snapshot of this worker.
   *
   * @throws {CacheError} As `set` and `tryLock`; `ERR_NO_SPACE` without room.
   */
  put(metrics: readonly PromMetric[]): void {
    if (this.#presence?.held !== true) this.#appear()
    const snapshot: Snapshot = { started: this.started, metrics }
    if (!this.#space.set(PREFIX + this.#id, snapshot)) {
      throw new CacheError('ERR_NO_SPACE', 'there is no room for the metrics of this worker', {
        hint: 'Open the cache with a larger size.',
      })
    }
    // Without the lock, others would take this worker for a dead one and count it twice.
    if (this.#presence?.held !== true) this.#space.delete(PREFIX + this.#id)
  }

  /** All other workers. Adds those that died to the past. */
  others(): AllWorkers {
    const dead = this.#deadIds()
    for (const id of dead) this.#tryFold(id)
    const snapshots = this.#ids().map((id) => [id, this.#snapshotOf(id)] as const)
    const past = this.#readPast()
    const living: Snapshot[] = []
    const gone: Snapshot[] = []
    for (const [id, snapshot] of snapshots) {
      if (snapshot === undefined || past.ids.includes(id)) continue
      if (dead.includes(id)) gone.push({ started: 0, metrics: snapshot.metrics.filter(outlives) })
      else living.push(snapshot)
    }
    return { living, past: [...gone, { started: 0, metrics: past.metrics }] }
  }

  /** Ends this worker. Its snapshot stays, as that of a dead worker. */
  leave(): void {
    this.#id = newId()
    this.#presence?.release()
  }

  /** Takes a new id with a lock: at first, and after the segment was destroyed. */
  #appear(): void {
    this.#space.delete(PREFIX + this.#id)
    this.#id = newId()
    this.#presence = this.#space.tryLock(PREFIX + this.#id)
  }

  #ids(): string[] {
    const ids = Array.from(this.#space.keys({ prefix: PREFIX }), (key) => String(key).slice(PREFIX.length))
    return ids.filter((id) => id !== this.#id)
  }

  #snapshotOf(id: string): Snapshot | undefined {
    return this.#space.get(PREFIX + id) as Snapshot | undefined
  }

  /** Workers that hold their lock no longer. */
  #deadIds(): string[] {
    return this.#ids().filter((id) => this.#space.tryLock(PREFIX + id)?.release() === true)
  }

  /** Without room for the sums, the snapshot stays, and counts. */
  #tryFold(id: string): void {
    try {
      this.#fold(id)
    } catch (error) {
      this.#report(error)
    }
  }

  /** Adds a dead worker to the past, then deletes its snapshot. Any step may be the last one of this process. */
  #fold(id: string): void {
    const snapshot = this.#snapshotOf(id)
    if (snapshot === undefined) return
    this.#space.update(PAST, (value) => {
      const past = (value as Past | undefined) ?? NONE
      if (past.ids.includes(id)) return past
      const ids = past.ids.filter((old, i) => i >= past.ids.length - MAX_IDS || this.#space.has(PREFIX + old))
      const metrics = addUp(past.metrics, snapshot.metrics.filter(outlives))
      return { folds: past.folds + 1, ids: [...ids, id], metrics } satisfies Past
    })
    this.#space.delete(PREFIX + id)
  }

  #readPast(): Past {
    const past = (this.#space.get(PAST) as Past | undefined) ?? NONE
    const mine = this.#past
    if (past.folds >= mine.folds) return (this.#past = past)
    const restored = this.#space.update(PAST, (value) => {
      return ((value as Past | undefined) ?? NONE).folds < mine.folds ? mine : value
    })
    return (this.#past = restored as Past)
  }
}

function newId(): string {
  return randomBytes(9).toString('base64url')
}
