/**
 * Entries, the spaces that hold them, and what the parts of a segment tell each other about their changes.
 *
 * A space is what an entry is for (`Keyspace`) in one namespace. Values belong to the user. All other entries are
 * records: no `clear`, tag, prefix or walk affects them, and they are never evicted, except the states of limiters.
 */
import type { What } from '../native/layout.ts'

/** What an entry is for. The numbers of the first four are those of the native engine. */
export const Purpose = {
  Values: 0,
  Locks: 1,
  Semaphores: 2,
  Elections: 3,
  Flights: 4,
  Limits: 5,
  Once: 6,
  OnceFlights: 7,
  Metrics: 8,
  Events: 9,
  Barriers: 10,
  Conditions: 11,
  Queues: 12,
  QueueItems: 13,
} as const

/** The kind of a record, beside the kinds of `Kind`. */
export const RECORD = 10

/** The queues of entries. Victims come from the first two. */
export type QueueName = 'small' | 'main' | 'pinned'

/** An entry. A write of its key changes it in place, so it keeps its age and its place in walks. */
export interface Entry {
  readonly space: Space
  readonly text: string
  /** Bytes of the key. */
  readonly keyLength: number
  /** The key was given as bytes by the last write. */
  binary: boolean
  /** It is in its space. */
  live: boolean
  kind: number
  /** Text, number or bigint; bytes; or the words of a record. */
  value: unknown
  /** Bytes of the value. */
  length: number
  version: number
  written: number
  /** 0: never. */
  deadline: number
  /** Milliseconds after the deadline in which it may be served as stale. */
  stale: number
  tags: readonly string[]
  /** A tag made it stale. */
  outdated: boolean
  units: number
  /** Reads since it was last considered for eviction, at most 3. */
  uses: number
  queue: QueueName
  /** The quota that it counts for. */
  quota: Quota
  newer: Entry | undefined
  older: Entry | undefined
  /** Its place in walks, which go from the last entry to the first. */
  readonly order: number
  before: Entry | undefined
  after: Entry | undefined
}

/** What a namespace may take; units are those of all shards. */
export interface Quota {
  /** How its entries are evicted: `'s3-fifo'`, `'lru'` or `'none'`. */
  eviction: string
  /** Units that others cannot take. */
  reserve: number
  /** Maximum units; Infinity: no maximum. */
  size: number
  /** Units of its entries. */
  used: number
}

/** Counts of a namespace. */
export interface Tallies {
  hits: number
  misses: number
  sets: number
  deletes: number
  evictions: number
  expirations: number
  evictedForSize: number
  evictedForOthers: number
}

/** The entries of one purpose in one namespace. Values and their flights are those of one version of the application. */
export interface Space {
  readonly namespace: number
  readonly purpose: number
  /** 1 and the number of the version; 0: none. */
  readonly version: number
  readonly entries: Map<string, Entry>
  /** Counts of values; those of records are not shown. */
  readonly tallies: Tallies
  /** Units of the entries. */
  units: number
  /** The entry that was added last. */
  last: Entry | undefined
  /** Changes with each `clear` of the namespace or of the root. */
  life: number
}

/** Why an entry is removed. */
export type Cause = 'deleted' | 'evicted' | 'expired' | 'cleared'

/** A kind of change, for watchers. */
export type Change = (typeof What)[keyof typeof What]

/** What follows a change of an entry. */
export interface Observer {
  /** An entry has other tags than before. */
  tagged(entry: Entry, before: readonly string[], after: readonly string[]): void
  /** An entry was written. */
  written(entry: Entry): void
  /** A value was evicted or has expired, also where a write replaced it. */
  gone(entry: Entry, cause: 'evicted' | 'expired'): void
  /** An entry was removed. */
  removed(entry: Entry, cause: Cause): void
  /** What a near copy depends on has changed: the value, its deadline, its tags. */
  changed(entry: Entry): void
  /** Adds the uses that near copies have noted. */
  adoptUses(entry: Entry): void
}

export function isRecord(entry: { readonly space: Space }): boolean {
  return entry.space.purpose !== Purpose.Values
}

export function isPinned({ purpose }: Space): boolean {
  return purpose !== Purpose.Values && purpose !== Purpose.Limits
}

/** Whether it may no longer be served as fresh. */
export function isExpired(entry: Entry, now: number): boolean {
  return entry.deadline !== 0 && now >= entry.deadline
}

/** Whether it may not even be served as stale. */
export function isOver(entry: Entry, now: number): boolean {
  return isExpired(entry, now) && now - entry.deadline >= entry.stale
}

/** The moment from which it may be swept. */
export function endOf(entry: Entry): number {
  return entry.deadline === 0 ? Number.POSITIVE_INFINITY : entry.deadline + entry.stale
}

export function newSpace(namespace: number, purpose: number, version = 0, life = 1): Space {
  const reads = { hits: 0, misses: 0 }
  const ends = { deletes: 0, evictions: 0, expirations: 0, evictedForSize: 0, evictedForOthers: 0 }
  const tallies = { ...reads, sets: 0, ...ends }
  return { namespace, purpose, version, entries: new Map(), tallies, units: 0, last: undefined, life }
}
