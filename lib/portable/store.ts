/**
 * The entries of a segment: find, write, remove, sweep, evict. Every change of an entry goes through here.
 *
 * An entry that a tag or a `clear` ends is removed at once. One that expires is removed by the next write, and otherwise
 * when a count or a listener asks for it; readers compare its deadline.
 */
import { Kind } from '../native/layout.ts'
import type { Clock } from './clock.ts'
import { Endings } from './endings.ts'
import { Purpose, RECORD, endOf, isExpired, isOver, isPinned, isRecord, newSpace } from './entry.ts'
import type { Cause, Entry, Observer, Space } from './entry.ts'
import { Shard } from './eviction.ts'
import { failure, noSpace } from './failure.ts'
import { unitsFor, unitsNeeded } from './geometry.ts'
import type { Geometry } from './geometry.ts'
import { hashOf } from './keys.ts'
import type { StoredKey } from './keys.ts'
import { Quotas } from './quotas.ts'
import { Room } from './room.ts'
import type { Claim, EvictionReason } from './room.ts'
import type { NativeQuota } from '../native/addon.ts'

/** A value to be written. */
export interface Write {
  readonly value: unknown
  /** Bytes of the value. */
  readonly length: number
  readonly kind: number
  /** Milliseconds; 0: for ever. */
  readonly ttl: number
  /** Milliseconds after the deadline. */
  readonly stale: number
  readonly tags: readonly string[]
  /** Keep the deadline and the stale time of the entry that is replaced. */
  readonly keepTtl: boolean
  /** Keep the tags of the entry that is replaced. */
  readonly keepTags: boolean
  /** Of an entry of a snapshot, in place of `ttl` and of now. */
  readonly restored?: { readonly deadline: number; readonly written: number }
}

/** One of several changes that are made together. */
export interface PlannedChange {
  readonly space: Space
  readonly key: StoredKey
  /** Undefined: the key is deleted. */
  readonly write: Write | undefined
}

/** Maximum deadline. */
const LATEST = 2 ** 48 - 1
const NO_TAGS: readonly string[] = []

export class Store {
  readonly geometry: Geometry
  readonly clock: Clock
  readonly quotas: Quotas
  /** Replaced in place by a resize: the room refers to it. */
  readonly #shards: Shard[]
  readonly #room: Room
  readonly #spaces = new Map<number, Space>()
  readonly #endings = new Endings(() => this.#all())
  readonly #observer: Observer
  #sequence = 0
  #orders = 0
  /** The namespace of the write that makes room. */
  #writer = 0
  limitsEvicted = 0
  /** The maximum of the units that were used at once. */
  mostUnits = 0

  constructor(geometry: Geometry, clock: Clock, observer: Observer) {
    this.geometry = geometry
    this.clock = clock
    this.#observer = observer
    this.quotas = new Quotas(geometry)
    this.#shards = Array.from({ length: geometry.shards }, () => this.#newShard())
    this.#room = new Room(this.#shards, this.quotas, {
      sweep: (spared) => this.#sweepOthers(spared),
      evict: (entry, reason) => this.#evict(entry, reason),
    })
  }

  #newShard(): Shard {
    return new Shard(this.geometry, this.quotas, (entry) => this.#observer.adoptUses(entry))
  }

  now(): number {
    return this.clock.now()
  }

  /** Follows new sizes; `apply` puts them in place. Returns the number of entries that had no room. */
  resize(next: Geometry, apply: () => void): number {
    this.quotas.checkReserves(next)
    this.sweep()
    const entries = this.#shards.flatMap((shard) => [...shard.entries()])
    this.#checkKept(entries, next)
    apply()
    this.#shards.splice(0, this.#shards.length, ...Array.from({ length: next.shards }, () => this.#newShard()))
    for (const entry of entries) this.#shardOf(entry).adopt(entry)
    this.#writer = -1
    for (const shard of this.#shards) this.#room.free({ shard, quota: this.quotas.shared, existing: undefined }, 0)
    return entries.filter(({ live }) => !live).length
  }

  /** Throws if what may not be evicted has no room in these sizes. */
  #checkKept(entries: readonly Entry[], { units, shards }: Geometry): void {
    const kept = Array.from({ length: shards }, () => ({ pinned: 0, all: 0 }))
    for (const entry of entries) {
      const isPinned = entry.queue === 'pinned'
      if (!isPinned && entry.quota.eviction !== 'none') continue
      const own = kept[indexOf(entry, shards)] as { pinned: number; all: number }
      own.all += entry.units
      if (isPinned) own.pinned += entry.units
    }
    if (kept.every(({ pinned, all }) => pinned <= Math.floor(units / 4) && all < units)) return
    throw noSpace('the new size is too small: entries that may not be evicted do not fit')
  }

  /** The version of the next write. */
  get nextVersion(): number {
    return this.#sequence + 1
  }

  /** Makes every later version higher than the result, which is at least `least`. */
  raiseVersion(least: number): number {
    this.#sequence = Math.max(this.#sequence, least)
    return this.#sequence
  }

  get shards(): readonly Shard[] {
    return this.#shards
  }

  get usedUnits(): number {
    let used = 0
    for (const shard of this.#shards) used += shard.used
    return used
  }

  /** Throws if an entry is larger than the segment takes. */
  checkSize({ length }: StoredKey, write: Pick<Write, 'length' | 'tags'>): void {
    const needed = length + write.length + write.tags.length * 8
    const limit = this.geometry.maxEntry
    if (needed <= limit) return
    const text = `the entry needs ${needed} bytes, the segment takes ${limit} at most (maxEntrySize)`
    throw failure('ERR_VALUE_TOO_LARGE', text)
  }

  /** Sets the quota of a namespace, and moves its entries into queues of their own. */
  setQuota(namespace: number, setting: NativeQuota): void {
    if (!this.quotas.set(namespace, setting)) return
    for (const space of this.valuesOf(namespace)) {
      const quota = this.quotas.of(space)
      for (const entry of space.entries.values()) this.#shardOf(entry).requeue(entry, quota)
    }
  }

  /** The next moment at which an entry may be swept; Infinity: never. */
  get nextEnd(): number {
    return this.#endings.next
  }

  /** `version`: as in `Space`. */
  space(namespace: number, purpose: number, version = 0): Space {
    const number = numberOf(namespace, purpose, version)
    const known = this.#spaces.get(number)
    if (known !== undefined) return known
    // All versions of a namespace have one life.
    const life = version === 0 ? 1 : this.space(namespace, purpose).life
    const space = newSpace(namespace, purpose, version, life)
    this.#spaces.set(number, space)
    return space
  }

  /** A space that has been used. */
  usedSpace(namespace: number, purpose: number, version: number): Space | undefined {
    return this.#spaces.get(numberOf(namespace, purpose, version))
  }

  /** The values of all versions of a namespace. */
  valuesOf(namespace: number): Space[] {
    const isOne = (space: Space): boolean => space.purpose === Purpose.Values && space.namespace === namespace
    return [...this.#spaces.values()].filter(isOne)
  }

  /** Removes the values and flights of a version of the application. */
  removeVersion(version: number): void {
    for (const space of this.#spaces.values()) {
      if (space.version !== version) continue
      for (const entry of space.entries.values()) this.delete(entry)
    }
  }

  spaces(): Iterable<Space> {
    return this.#spaces.values()
  }

  /** The entry of a key if it is a fresh value or record. */
  fresh(space: Space, text: string): Entry | undefined {
    const entry = space.entries.get(text)
    return entry !== undefined && this.isFresh(entry) ? entry : undefined
  }

  /** Whether an entry is a value or record that may be served as fresh. */
  isFresh(entry: Entry): boolean {
    return entry.kind !== Kind.Absent && this.isCurrent(entry)
  }

  /** The same, also for an entry that stands for no value. */
  isCurrent(entry: Entry): boolean {
    return !entry.outdated && (entry.deadline === 0 || !isExpired(entry, this.now()))
  }

  /**
   * Makes room for several changes together; without a `write` a key is deleted. False: there is too little, and nothing
   * may be evicted.
   */
  makeRoomFor(changes: readonly PlannedChange[]): boolean {
    const staged = changes.map(({ space, key, write }) => {
      const existing = space.entries.get(key.text)
      const units = write === undefined ? 0 : this.#plan(existing, key, write).units
      return { space, key, existing, units, shard: this.#shardOf({ space, text: key.text }) }
    })
    const limit = this.geometry.units / 2
    const needs = new Map<Shard, { units: number; changes: number }>()
    const inSpace = new Map<Space, { units: number; replaced: number }>()
    for (const { shard, units } of staged) {
      const need = needs.get(shard) ?? { units: 0, changes: 0 }
      needs.set(shard, { units: need.units + (units === 0 ? 1 : unitsNeeded(units)), changes: need.changes + 1 })
    }
    if ([...needs.values()].some((need) => need.changes > 1 && need.units > limit)) return false
    needs.clear()
    for (const { space, existing, units, shard } of staged) {
      const claim = { shard, quota: this.quotas.of(space), existing }
      // The native engine takes one more unit for each key, while it commits.
      const before = needs.get(shard)?.units ?? 0
      const need = before + (units === 0 ? 1 : unitsNeeded(units) + 1)
      const own = inSpace.get(space) ?? { units: 0, replaced: 0 }
      own.units += units
      own.replaced += existing?.units ?? 0
      inSpace.set(space, own)
      this.#writer = space.namespace
      if (units > 0 && !this.#room.fit(claim, own.units, own.replaced)) return false
      const spare = units === 0 ? 0 : shard.spareFor(existing, units, 'value')
      if (!this.#makeFree(claim, need + spare, space)) return false
      needs.set(shard, { units: units === 0 ? need : need - 1, changes: 0 })
    }
    return true
  }

  /** Writes an entry, and returns its version. Undefined: there is no room, and nothing may be evicted. */
  write(space: Space, key: StoredKey, write: Write): number | undefined {
    const existing = space.entries.get(key.text)
    const now = this.now()
    const { deadline, stale, tags, units } = this.#plan(existing, key, write)
    if (!this.#makeRoom(space, key, existing, units)) {
      if (existing === undefined || !isOver(existing, now)) return undefined
      this.remove(existing, 'expired')
      return this.write(space, key, write)
    }
    const version = ++this.#sequence
    const entry = existing ?? this.#newEntry(space, key)
    if (existing === undefined) {
      entry.units = units
      this.#shardOf(entry).add(entry, isPinned(space))
    } else {
      if (isOver(entry, now)) this.#noteRemoval(entry, 'expired')
      this.#shardOf(entry).resize(entry, units)
    }
    this.mostUnits = Math.max(this.mostUnits, this.usedUnits)
    this.#setDeadline(entry, deadline, stale)
    entry.binary = key.binary
    entry.kind = write.kind
    entry.value = write.value
    entry.length = write.length
    entry.version = version
    entry.written = write.restored?.written ?? now
    if (entry.tags !== tags) this.#observer.tagged(entry, entry.tags, tags)
    entry.tags = tags.length === 0 ? NO_TAGS : tags
    entry.outdated = false
    if (!isRecord(entry)) space.tallies.sets++
    this.#observer.changed(entry)
    this.#observer.written(entry)
    this.sweep()
    return version
  }

  /** What a write makes of an entry. */
  #plan(
    existing: Entry | undefined,
    key: StoredKey,
    write: Write,
  ): { deadline: number; stale: number; tags: readonly string[]; units: number } {
    const kept = existing !== undefined && this.isFresh(existing) ? existing : undefined
    // mutant: portable-forgets-ttl
    const keepsTtl = write.keepTtl && kept !== undefined
    const given = write.restored?.deadline ?? (write.ttl === 0 ? 0 : Math.min(this.now() + write.ttl, LATEST))
    const deadline = keepsTtl ? kept.deadline : given
    const stale = keepsTtl ? kept.stale : given === 0 ? 0 : write.stale
    const tags = write.keepTags && kept !== undefined ? kept.tags : write.tags
    const extras = (stale === 0 ? 0 : 1) + (tags.length === 0 ? 0 : 1 + tags.length)
    return { deadline, stale, tags, units: unitsFor(extras * 8 + Math.ceil(key.length / 8) * 8 + write.length) }
  }

  /** Gives an entry a new lifetime. */
  touch(entry: Entry, ttl: number): void {
    const shard = this.#shardOf(entry)
    const claim = { shard, quota: entry.quota, existing: entry }
    if (shard.free === 0 && !this.#makeFree(claim, 1, entry.space)) throw noSpace('no unit is free for a new head')
    this.#setDeadline(entry, ttl === 0 ? 0 : Math.min(this.now() + ttl, LATEST), entry.stale)
    this.#observer.changed(entry)
  }

  /** Makes an entry stale. */
  outdate(entry: Entry): void {
    entry.outdated = true
    this.#observer.changed(entry)
  }

  remove(entry: Entry, cause: Cause): void {
    if (!entry.live) return
    entry.live = false
    const { space } = entry
    space.entries.delete(entry.text)
    this.#shardOf(entry).remove(entry)
    if (entry.deadline !== 0) this.#endings.count--
    if (entry.after === undefined) space.last = entry.before
    else entry.after.before = entry.before
    if (entry.before !== undefined) entry.before.after = entry.after
    this.#observer.tagged(entry, entry.tags, NO_TAGS)
    this.#noteRemoval(entry, cause)
    this.#observer.changed(entry)
    this.#observer.removed(entry, cause)
    // A place in the heap may remember the entry for long.
    entry.value = undefined
  }

  /** Removes an entry for the user. False: it was not fresh, and counts as what it was. */
  delete(entry: Entry): boolean {
    const isFresh = this.isFresh(entry)
    this.remove(entry, !isFresh && isOver(entry, this.now()) ? 'expired' : 'deleted')
    return isFresh
  }

  /** Removes the entries that have ended. */
  sweep(): void {
    const now = this.now()
    for (;;) {
      const entry = this.#endings.take(now)
      if (entry === undefined) return
      this.remove(entry, 'expired')
    }
  }

  /** Removes all values of a namespace; of the root, those of all namespaces. */
  clear(namespace: number): void {
    for (const space of this.#spaces.values()) {
      if (space.purpose !== 0 || (namespace !== 0 && space.namespace !== namespace)) continue
      space.life++
      for (const entry of space.entries.values()) this.remove(entry, 'cleared')
    }
  }

  problems(): string[] {
    const problems = this.#shards.flatMap((shard) => shard.problems())
    let mortal = 0
    for (const entry of this.#all()) {
      if (!entry.live) problems.push(`a space has a removed entry, ${entry.text}`)
      if (entry.deadline !== 0) mortal++
    }
    if (mortal !== this.#endings.count) problems.push(`${this.#endings.count} deadlines are counted, not ${mortal}`)
    return problems
  }

  *#all(): Iterable<Entry> {
    for (const space of this.#spaces.values()) yield* space.entries.values()
  }

  #shardOf(place: { readonly space: Space; readonly text: string }): Shard {
    return this.#shards[indexOf(place, this.#shards.length)] as Shard
  }

  /** Units of the records that are never evicted, in the shard of a key. */
  #makeRoom(space: Space, { text }: StoredKey, existing: Entry | undefined, units: number): boolean {
    const shard = this.#shardOf({ space, text })
    const claim = { shard, quota: this.quotas.of(space), existing }
    this.#writer = space.namespace
    if (space.purpose === 0 && !this.#room.fit(claim, units)) return false
    const kind = space.purpose === 0 ? 'value' : isPinned(space) ? 'pinned' : 'limit'
    return this.#makeFree(claim, unitsNeeded(units) + shard.spareFor(existing, units, kind), space)
  }

  #makeFree(claim: Claim, need: number, { namespace }: Space): boolean {
    this.#writer = namespace
    return this.#room.free(claim, need)
  }

  #evict(entry: Entry, reason: EvictionReason): void {
    const isOverdue = isOver(entry, this.now())
    const { tallies, namespace } = entry.space
    if (!isOverdue && !isRecord(entry) && entry.kind !== Kind.Absent) {
      if (reason === 'size') tallies.evictedForSize++
      if (namespace !== this.#writer) tallies.evictedForOthers++
    }
    this.remove(entry, isOverdue ? 'expired' : 'evicted')
  }

  #sweepOthers(spared: Entry | undefined): void {
    const now = this.now()
    for (;;) {
      const entry = this.#endings.take(now)
      if (entry === undefined) break
      if (entry !== spared) this.remove(entry, 'expired')
    }
    if (spared?.live) this.#endings.note(spared)
  }

  #setDeadline(entry: Entry, deadline: number, stale: number): void {
    this.#endings.count += (deadline === 0 ? 0 : 1) - (entry.deadline === 0 ? 0 : 1)
    const before = endOf(entry)
    entry.deadline = deadline
    entry.stale = stale
    if (endOf(entry) !== before) this.#endings.note(entry)
  }

  #newEntry(space: Space, { text, length, binary }: StoredKey): Entry {
    const entry: Entry = {
      space,
      text,
      keyLength: length,
      binary,
      live: true,
      kind: RECORD,
      value: undefined,
      length: 0,
      version: 0,
      written: 0,
      deadline: 0,
      stale: 0,
      tags: NO_TAGS,
      outdated: false,
      units: 0,
      uses: 0,
      queue: 'main',
      quota: this.quotas.of(space),
      newer: undefined,
      older: undefined,
      order: ++this.#orders,
      before: space.last,
      after: undefined,
    }
    if (space.last !== undefined) space.last.after = entry
    space.last = entry
    space.entries.set(text, entry)
    return entry
  }

  #noteRemoval(entry: Entry, cause: Cause): void {
    if (entry.kind === Kind.Absent || cause === 'cleared') return
    if (isRecord(entry)) {
      if (cause === 'evicted') this.limitsEvicted++
      return
    }
    const { tallies } = entry.space
    if (cause === 'deleted') tallies.deletes++
    else if (cause === 'evicted') tallies.evictions++
    else tallies.expirations++
    if (cause !== 'deleted') this.#observer.gone(entry, cause)
  }
}

function numberOf(namespace: number, purpose: number, version: number): number {
  return (version * 1024 + namespace) * 16 + purpose
}

/** The number of the shard of a key. */
function indexOf({ space, text }: { readonly space: Space; readonly text: string }, shards: number): number {
  return shards === 1 ? 0 : hashOf(text, space.namespace) % shards
}
