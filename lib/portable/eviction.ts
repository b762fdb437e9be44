/**
 * The room of a shard and its eviction: S3-FIFO by bytes, or CLOCK. `crates/core/src/shard/eviction.rs` explains both.
 *
 * A shard here only counts: entries of all shards are in the same maps.
 */
import { noSpace } from './failure.ts'
import { UNIT } from './geometry.ts'
import type { Geometry } from './geometry.ts'
import type { Entry, Quota, QueueName } from './entry.ts'
import type { Quotas } from './quotas.ts'

const SMALL_SHARE = 10
const USES_TO_STAY = 2
const MAX_USES = 3
/** Maximum number of entries that a change passes over. */
export const MAX_SPARED = 128
/** Ghosts live while this part of the space is evicted. */
const GHOST_WINDOW = 0.95
/** Free units for the small record of a limiter. */
const LIMITER_UNITS = 8

interface Queue {
  newest: Entry | undefined
  oldest: Entry | undefined
  units: number
}

/** The queues of a quota in one shard. */
interface Queues {
  readonly small: Queue
  readonly main: Queue
  /** Its units when room was needed; 0: not yet, or not since it was half empty. */
  filledTo: number
}

/** The room of one shard. */
export class Shard {
  readonly #geometry: Geometry
  readonly #quotas: Quotas
  readonly #pinned: Queue = empty()
  readonly #queues = new Map<Quota, Queues>()
  /** Keys that were evicted from the small queue, with the units that had been evicted until then. */
  readonly #ghosts = new Map<string, number>()
  #ghostUnits = 0
  readonly #adoptUses: (entry: Entry) => void
  used = 0
  /** Its entries and records. */
  words = 0

  /** `adoptUses`: adds the uses of an entry that its near copies have noted. */
  constructor(geometry: Geometry, quotas: Quotas, adoptUses: (entry: Entry) => void) {
    this.#geometry = geometry
    this.#quotas = quotas
    this.#adoptUses = adoptUses
  }

  /** All units, used and free. */
  get units(): number {
    return this.#geometry.units
  }

  get free(): number {
    return this.#geometry.units - 1 - this.used
  }

  get pinnedUnits(): number {
    return this.#pinned.units
  }

  /** Units of the two queues of a quota. */
  queuesOf(quota: Quota): { readonly small: number; readonly main: number } {
    const queues = this.#queues.get(quota)
    return { small: queues?.small.units ?? 0, main: queues?.main.units ?? 0 }
  }

  /** Units of the entries of a quota. */
  unitsOf(quota: Quota): number {
    const queues = this.#queues.get(quota)
    return queues === undefined ? 0 : queues.small.units + queues.main.units
  }

  /** Counts a new entry, and gives it its queue. */
  add(entry: Entry, pinned: boolean): void {
    this.words++
    this.#count(entry, entry.units)
    this.#enqueue(entry, pinned ? 'pinned' : this.#queueFor(entry))
  }

  /** Its entries, queue by queue, the oldest of each first. */
  *entries(): Iterable<Entry> {
    for (const [, queue] of this.#allQueues()) {
      for (let entry = queue.oldest; entry !== undefined;) {
        const { newer } = entry
        yield entry
        entry = newer
      }
    }
  }

  /** Takes an entry over from another shard, as the newest of the queue that it had there. */
  adopt(entry: Entry): void {
    this.used += entry.units
    this.#enqueue(entry, entry.queue)
  }

  /** Counts an entry that was removed. */
  remove(entry: Entry): void {
    this.words--
    this.#count(entry, -entry.units)
    this.#dequeue(entry)
  }

  /** Moves an entry into the queues of its quota, which is another than before. */
  requeue(entry: Entry, quota: Quota): void {
    this.#dequeue(entry)
    entry.quota.used -= entry.units
    entry.quota = quota
    quota.used += entry.units
    this.#enqueue(entry, 'main')
  }

  /** Counts an entry that now has other units. It keeps its place in its queue. */
  resize(entry: Entry, units: number): void {
    // mutant: portable-miscounts-room
    this.#count(entry, units - entry.units)
    this.#queueOf(entry).units += units - entry.units
    entry.units = units
  }

  /** Free units that must remain after a write, so that each record that does not grow can always be changed. */
  spareFor(entry: Entry | undefined, units: number, kind: 'value' | 'limit' | 'pinned'): number {
    const evicts = this.#geometry.eviction !== 'none' && !this.#quotas.exist
    if (evicts && kind === 'value') return 0
    const before = entry?.units ?? 0
    if (kind !== 'value' && units <= before) return 0
    let pinned = this.pinnedUnits
    if (kind === 'pinned') {
      pinned = Math.max(0, pinned - before) + units
      const limit = Math.floor(this.#geometry.units / 4)
      if (pinned > limit) {
        throw noSpace(`locks, flights and metrics may take a quarter of a shard, ${limit * UNIT} bytes`)
      }
    }
    return evicts ? 0 : pinned + Math.floor(pinned / 2) + LIMITER_UNITS
  }

  /** The next entry of a quota to evict, other than `spared`. `left` counts those that may still be passed over. */
  victim(quota: Quota, spared: Entry | undefined, left: { passes: number }): Entry | undefined {
    const queues = this.#queuesOf(quota)
    const { small, main } = queues
    let only: 'small' | 'main' | undefined
    queues.filledTo = Math.max(1, this.#fullUnits(quota))
    for (let visits = left.passes + 2; visits > 0; visits--) {
      if (small.oldest === undefined && main.oldest === undefined) return undefined
      const name = this.#pick(quota, only, left.passes)
      const entry = queues[name].oldest as Entry
      this.#adoptUses(entry)
      const mayPass = left.passes > 0
      if (entry === spared) {
        left.passes = Math.max(0, left.passes - 1)
        if (entry.newer === undefined) {
          only = name === 'small' ? 'main' : 'small'
          if (queues[only].oldest === undefined) return undefined
        } else {
          this.#moveTo(entry, name)
        }
      } else if (name === 'small' && entry.uses >= USES_TO_STAY && mayPass) {
        left.passes--
        entry.uses = 0
        this.#moveTo(entry, 'main')
      } else if (name === 'main' && entry.uses > 0 && mayPass) {
        left.passes--
        entry.uses = quota.eviction === 'lru' ? 0 : Math.min(entry.uses, MAX_USES) - 1
        this.#moveTo(entry, 'main')
      } else {
        if (name === 'small') this.#addGhost(entry)
        return entry
      }
    }
    return undefined
  }

  /** The contradictions in the counts. */
  problems(): string[] {
    const problems: string[] = []
    let used = 0
    for (const [name, queue] of this.#allQueues()) {
      let units = 0
      for (let entry = queue.oldest; entry !== undefined; entry = entry.newer) {
        units += entry.units
        if (!entry.live) problems.push(`the ${name} queue has a removed entry, ${entry.text}`)
        if (entry.newer === undefined && queue.newest !== entry) problems.push(`the ${name} queue ends early`)
      }
      if (units !== queue.units) problems.push(`the ${name} queue counts ${queue.units} units, it has ${units}`)
      used += units
    }
    if (used !== this.used) problems.push(`a shard counts ${this.used} units, its queues have ${used}`)
    if (this.free < 0) problems.push(`a shard has ${-this.free} units more than it has room for`)
    return problems
  }

  *#allQueues(): Iterable<readonly [QueueName, Queue]> {
    yield ['pinned', this.#pinned]
    for (const { small, main } of this.#queues.values()) {
      yield ['small', small]
      yield ['main', main]
    }
  }

  #queuesOf(quota: Quota): Queues {
    let queues = this.#queues.get(quota)
    if (queues === undefined) this.#queues.set(quota, (queues = { small: empty(), main: empty(), filledTo: 0 }))
    return queues
  }

  #queueOf({ queue, quota }: Entry): Queue {
    return queue === 'pinned' ? this.#pinned : this.#queuesOf(quota)[queue]
  }

  #count(entry: Entry, units: number): void {
    this.used += units
    entry.space.units += units
    entry.quota.used += units
  }

  #pick(quota: Quota, only: 'small' | 'main' | undefined, passes: number): 'small' | 'main' {
    const { small, main } = this.#queuesOf(quota)
    if (main.oldest === undefined) return 'small'
    if (small.oldest === undefined) return 'main'
    if (only !== undefined) return only
    return passes === 0 || this.#smallIsFull(quota) ? 'small' : 'main'
  }

  #queueFor(entry: Entry): QueueName {
    const { quota } = entry
    const isKnown = quota.eviction !== 's3-fifo' || this.#takeGhost(entry)
    return isKnown || (this.#smallIsFull(quota) && this.#isFilling(quota)) ? 'main' : 'small'
  }

  #smallIsFull(quota: Quota): boolean {
    return this.#queuesOf(quota).small.units > Math.floor(this.#fullUnits(quota) / SMALL_SHARE)
  }

  /** Whether no eviction was needed since the quota was new or half empty here. */
  #isFilling(quota: Quota): boolean {
    const queues = this.#queuesOf(quota)
    if (this.unitsOf(quota) < queues.filledTo / 2) queues.filledTo = 0
    return queues.filledTo === 0
  }

  /** The units that the shares of the queues refer to. */
  #fullUnits(quota: Quota): number {
    return quota === this.#quotas.shared ? this.#geometry.units : this.unitsOf(quota)
  }

  #enqueue(entry: Entry, name: QueueName): void {
    entry.queue = name
    const queue = this.#queueOf(entry)
    entry.newer = undefined
    entry.older = queue.newest
    if (queue.newest === undefined) queue.oldest = entry
    else queue.newest.newer = entry
    queue.newest = entry
    queue.units += entry.units
  }

  #dequeue(entry: Entry): void {
    const queue = this.#queueOf(entry)
    if (entry.newer === undefined) queue.newest = entry.older
    else entry.newer.older = entry.older
    if (entry.older === undefined) queue.oldest = entry.newer
    else entry.older.newer = entry.newer
    entry.newer = undefined
    entry.older = undefined
    queue.units -= entry.units
  }

  #moveTo(entry: Entry, name: QueueName): void {
    this.#dequeue(entry)
    this.#enqueue(entry, name)
  }

  #addGhost(entry: Entry): void {
    this.#ghostUnits += entry.units
    const key = ghostKey(entry)
    this.#ghosts.delete(key)
    this.#ghosts.set(key, this.#ghostUnits)
    for (const [oldest, at] of this.#ghosts) {
      if (this.#isKnown(at)) break
      this.#ghosts.delete(oldest)
    }
  }

  #takeGhost(entry: Entry): boolean {
    const key = ghostKey(entry)
    const at = this.#ghosts.get(key)
    if (at === undefined) return false
    this.#ghosts.delete(key)
    return this.#isKnown(at)
  }

  #isKnown(at: number): boolean {
    return this.#ghostUnits - at <= this.#geometry.units * GHOST_WINDOW
  }
}

/** Marks an entry as used. */
export function markUsed(entry: Entry): void {
  if (entry.uses < MAX_USES) entry.uses++
}

function empty(): Queue {
  return { newest: undefined, oldest: undefined, units: 0 }
}

function ghostKey({ space, text }: Entry): string {
  return `${space.namespace}.${space.purpose}.${space.version}.${text}`
}
