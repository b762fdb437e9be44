/**
 * When tags were revalidated, for hosts that judge an entry while they read it: because some of its tags are known only
 * then, or because it is a file of a build.
 *
 * A revalidation that has returned counts for every later read in all processes. A counter in the segment and the
 * monotonic clock of the host decide what is older, so a clock that is set does no harm. Only files are compared by the
 * time of day.
 *
 * No revalidation is forgotten. Its record cannot be evicted, and where there is no room for another record the horizon
 * moves to the present: all that is older is dead, and the records before it go.
 */
import type { Entry, Key } from '../../arguments/keys.ts'
import type { DeleteOptions, NamespaceOptions } from '../../arguments/options.ts'
import type { Bytes } from '../../arguments/units.ts'
import type { NamespacedStore } from '../../cache/store.ts'
import { CacheError } from '../../errors.ts'
import { boundedKey } from './bounded-key.ts'

/** A store with versions of entries, and with namespaces that have quotas. */
export interface VersionedStore<V = unknown> extends NamespacedStore<V> {
  getEntry(key: Key): Entry<V> | undefined
  delete(key: Key, options?: DeleteOptions): boolean
  namespace<W = V>(name: string, options?: NamespaceOptions): VersionedStore<W>
}

/**
 * When the data of an entry began to be read: the counter of revalidations, and the monotonic clock of the host in
 * milliseconds.
 */
export interface Begun {
  readonly seq: number
  readonly clock: number
}

/** The same of an entry that may be a file; of a file, its epoch milliseconds. */
export type Born = Begun | { readonly file: number }

/** `stale`: may be served while it is made anew. `dead`: must not be served. */
export type Fate = 'live' | 'stale' | 'dead'

/** `clock`: as of `Born`. `time`: epoch milliseconds. */
type Mark = readonly [seq: number, clock: number, time: number]

type Ending = readonly [deadline: number, ...Mark]

/** What is older than a mark is dead, is stale, or is dead from a deadline on. */
interface TagRecord {
  readonly dead?: Mark
  readonly stale?: Mark
  /** With deadlines in epoch milliseconds. Later marks have later deadlines. */
  readonly ending?: readonly Ending[]
}

const COUNTER = 'counter'
const HORIZON = 'horizon'
/** Room for the counter and the horizon in any shard of any segment. */
const CLOCK_RESERVE = 65_536
/** Bytes of records that other data never take. */
export const MIN_RECORDS = 262_144
/** A tag that is marked as stale again and again has no more deadlines than this. */
const MAX_ENDINGS = 8

/** The times of tags in the namespaces `tags` and `clock` of a store. */
export class TagTimes {
  readonly #records: VersionedStore
  readonly #clock: VersionedStore

  /** @param size Maximum size of the records; at least `MIN_RECORDS`. */
  constructor(store: VersionedStore, size: Bytes) {
    // Strict: a record that cannot be read must not look like a tag that was never revalidated.
    const common = { strict: true, ttl: Infinity, codec: 'auto', eviction: 'none' } as const
    this.#records = store.namespace('tags', { ...common, size, reserve: MIN_RECORDS })
    this.#clock = store.namespace('clock', { ...common, size: 4 * CLOCK_RESERVE, reserve: CLOCK_RESERVE })
  }

  /** For what begins now. */
  born(): Begun {
    return { seq: (this.#clock.get(COUNTER) as number | undefined) ?? 0, clock: monotonic() }
  }

  /** @throws {CacheError} For trouble with the segment. */
  fateOf(tags: Iterable<string>, born: Born): Fate {
    const horizon = this.#clock.get(HORIZON) as Mark | undefined
    if (isOlder(born, horizon)) return 'dead'
    const now = Date.now()
    let fate: Fate = 'live'
    const keys = Array.from(tags, (tag) => boundedKey('', tag))
    for (const record of this.#records.getMany(keys) as (TagRecord | undefined)[]) {
      if (record === undefined) continue
      if (isOlder(born, record.dead)) return 'dead'
      if (record.ending?.some(([deadline, ...mark]) => deadline <= now && isOlder(born, mark))) return 'dead'
      if (isOlder(born, record.stale)) fate = 'stale'
    }
    return fate
  }

  /**
   * Ends what is older than this moment.
   *
   * @param expire Seconds for which it may still be served as stale; Infinity: no limit. Default: it is dead at once.
   * @throws {CacheError} For trouble with the segment.
   */
  revalidate(tags: readonly string[], expire = 0): void {
    if (tags.length === 0) return
    const mark = this.#mark()
    for (const tag of tags) {
      const key = boundedKey('', tag)
      if (!change<TagRecord>(this.#records, key, (before) => marked(before ?? {}, mark, expire))) this.endAll()
    }
  }

  /** Moves the horizon: everything older than this moment is dead. */
  endAll(): void {
    const horizon = this.#mark()
    const later = (before: Mark | undefined): Mark =>
      before !== undefined && before[0] > horizon[0] ? before : horizon
    if (!change<Mark>(this.#clock, HORIZON, later)) throw noRoom()
    // A record that has changed since is needed.
    for (const key of this.#records.keys()) {
      const entry = this.#records.getEntry(key)
      if (entry !== undefined && latestOf(entry.value as TagRecord) <= horizon[0]) {
        this.#records.delete(key, { version: entry.version })
      }
    }
  }

  #mark(): Mark {
    return [this.#clock.incr(COUNTER), monotonic(), Date.now()]
  }
}

/** Milliseconds of the clock that all processes of the host share, and by which `performance.now` counts. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

function isOlder(born: Born, mark: Mark | undefined): boolean {
  if (mark === undefined) return false
  const [seq, clock, time] = mark
  return 'file' in born ? born.file < time : born.seq < seq || born.clock < clock
}

function latestOf({ dead, stale }: TagRecord): number {
  return Math.max(dead?.[0] ?? 0, stale?.[0] ?? 0)
}

/** A record after another revalidation. */
function marked(before: TagRecord, mark: Mark, expire: number): TagRecord {
  if (expire <= 0) return { dead: mark }
  const now = mark[2]
  const over = before.ending?.findLast(([deadline]) => deadline <= now)
  const dead: Mark | undefined = over === undefined ? before.dead : [over[1], over[2], over[3]]
  const deadline = now + expire * 1000
  // An earlier mark with a later deadline ends nothing that the new one does not end before.
  const ending = (before.ending ?? []).filter(([other]) => other > now && other < deadline)
  if (deadline < Infinity) ending.push([deadline, ...mark])
  // Two become one that ends what either would have ended, at the earlier of their deadlines.
  const [first, second] = ending
  if (ending.length > MAX_ENDINGS && first !== undefined && second !== undefined) {
    const [, ...later] = second
    ending.splice(0, 2, [first[0], ...later])
  }
  return { ...(dead && { dead }), stale: mark, ...(ending.length > 0 && { ending }) }
}

/** Compare and swap. False if there is no room. */
function change<V>(store: VersionedStore, key: string, next: (before: V | undefined) => V): boolean {
  for (;;) {
    const before = store.getEntry(key)
    const condition = before === undefined ? 'absent' : { version: before.version }
    if (store.set(key, next(before?.value as V | undefined), { if: condition })) return true
    if (store.getEntry(key)?.version === before?.version) return false
  }
}

function noRoom(): CacheError {
  const hint = 'Raise the size of the segment.'
  return new CacheError('ERR_NO_SPACE', 'there is no room to remember a revalidation', { hint })
}
