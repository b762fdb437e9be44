/**
 * Room for a write: which entries may be evicted for it. `crates/core/src/change/quotas.rs` is the original.
 *
 * No eviction for others takes a namespace below its reserve, no write takes one above its size, and no entry of a
 * namespace with `eviction: 'none'` is evicted.
 */
import type { Entry, Quota } from './entry.ts'
import { MAX_SPARED } from './eviction.ts'
import type { Shard } from './eviction.ts'
import type { Quotas } from './quotas.ts'

/** Maximum number of entries that a write evicts for the size of its namespace, beside one for each unit it needs. */
const MAX_EVICTED_FOR_SIZE = 64
/** The fraction of the golden ratio. Its multiples are spread evenly over the numbers from 0 to 1. */
const SPREAD = 0.618_033_988_749_895

/** Why an entry is evicted: its namespace has reached its size, or a write needs units. */
export type EvictionReason = 'size' | 'units'

/** A write that needs room. */
export interface Claim {
  readonly shard: Shard
  readonly quota: Quota
  /** The entry that is replaced; it is not evicted. */
  readonly existing: Entry | undefined
}

/** What it does to entries. */
export interface RoomSource {
  /** Removes the entries that have ended, except this one. */
  sweep(spared: Entry | undefined): void
  evict(entry: Entry, reason: EvictionReason): void
}

export class Room {
  readonly #shards: readonly Shard[]
  readonly #quotas: Quotas
  readonly #source: RoomSource
  /** From 0 to 1: chooses the quota that loses the next entry. */
  #chance = 0

  constructor(shards: readonly Shard[], quotas: Quotas, source: RoomSource) {
    this.#shards = shards
    this.#quotas = quotas
    this.#source = source
  }

  /**
   * Evicts entries of a quota until it has room for `units` below its size, in place of `replaced` units. False: there is
   * none.
   */
  fit({ shard, quota, existing }: Claim, units: number, replaced = existing?.units ?? 0): boolean {
    if (!this.#quotas.exist || (quota === this.#quotas.shared && quota.eviction !== 'none')) return true
    if (units > quota.size || !this.#leavesReserves(shard, quota, units)) return false
    const left = { passes: MAX_SPARED }
    let hasSwept = false
    for (let evictions = MAX_EVICTED_FOR_SIZE + units; ; evictions--) {
      const excess = quota.used - replaced + units - quota.size
      if (excess <= 0 && this.#leavesReserves(shard, quota, shard.unitsOf(quota) - replaced + units)) return true
      if (!hasSwept) {
        hasSwept = true
        this.#source.sweep(existing)
        continue
      }
      if (evictions <= 0 || quota.eviction === 'none') return false
      const own =
        shard.victim(quota, existing, left) ?? (excess > 0 ? this.#victimElsewhere(quota, existing) : undefined)
      if (own === undefined) return false
      this.#source.evict(own, 'size')
    }
  }

  /** Makes units free. False: there are fewer, and no other entry may be evicted. */
  free(claim: Claim, need: number): boolean {
    const { shard, existing } = claim
    if (shard.free >= need) return true
    this.#source.sweep(existing)
    if (shard.free < need && !this.#canFree(claim, need)) return false
    const search = { left: { passes: MAX_SPARED }, without: new Set<Quota>() }
    while (shard.free < need) {
      const victim = this.#victim(claim, search)
      if (victim === undefined) return false
      this.#source.evict(victim, 'units')
    }
    return true
  }

  #victim(claim: Claim, { left, without }: { left: { passes: number }; without: Set<Quota> }): Entry | undefined {
    const { shard, existing } = claim
    for (;;) {
      const quota = this.#quotaToEvictFrom(claim, without)
      if (quota === undefined) return undefined
      // mutant: portable-takes-reserves
      const spare = quota === claim.quota ? Number.POSITIVE_INFINITY : quota.used - quota.reserve
      const victim = spare > 0 || quota.reserve === 0 ? shard.victim(quota, existing, left) : undefined
      if (victim !== undefined && (quota.reserve === 0 || victim.units <= spare)) return victim
      without.add(quota)
    }
  }

  /**
   * Quotas above their part of the reserve in this shard come first, each as often as its units above that part are
   * among those of all. That of the write comes last while it is within its reserve.
   */
  #quotaToEvictFrom({ shard, quota: own }: Claim, without: ReadonlySet<Quota>): Quota | undefined {
    const above: { readonly quota: Quota; readonly units: number }[] = []
    let [total, below, last]: [number, Quota | undefined, Quota | undefined] = [0, undefined, undefined]
    for (const quota of this.#quotas.all()) {
      const units = shard.unitsOf(quota)
      if (units === 0 || without.has(quota) || quota.eviction === 'none') continue
      const excess = units - this.#partOf(quota)
      if (quota === own && quota.reserve !== 0 && quota.used <= quota.reserve) {
        last = quota
      } else if (excess <= 0) {
        below ??= quota
      } else {
        above.push({ quota, units: excess })
        total += excess
      }
    }
    if (above.length < 2) return above[0]?.quota ?? below ?? last
    this.#chance = (this.#chance + SPREAD) % 1
    let chosen = this.#chance * total
    return above.find(({ units }) => (chosen -= units) < 0)?.quota ?? above[0]?.quota
  }

  /** Whether evictions can free so many units. Otherwise entries would be evicted in vain. */
  #canFree({ shard, quota: own }: Claim, need: number): boolean {
    if (!this.#quotas.exist) return own.eviction !== 'none'
    let units = shard.free
    for (const quota of this.#quotas.all()) {
      const stored = shard.unitsOf(quota)
      units += quota === own && quota.eviction !== 'none' ? stored : stored - this.#kept(shard, quota)
    }
    return units >= need
  }

  /** Whether what cannot be evicted for others leaves each quota its part of the shard, if this one has `units` there. */
  #leavesReserves(shard: Shard, quota: Quota, units: number): boolean {
    const isKept = quota.eviction === 'none' || quota.reserve !== 0
    if (!isKept || units <= this.#partOf(quota)) return true
    let taken = shard.pinnedUnits
    for (const other of this.#quotas.all()) {
      if (other !== quota) taken += Math.max(this.#kept(shard, other), this.#partOf(other))
    }
    return taken + units < shard.units
  }

  /** Units in a shard that no other quota can take now. */
  #kept(shard: Shard, quota: Quota): number {
    const units = shard.unitsOf(quota)
    if (quota.eviction === 'none') return units
    return quota.reserve === 0 ? 0 : Math.max(0, units - Math.max(0, quota.used - quota.reserve))
  }

  #partOf({ reserve }: Quota): number {
    return Math.floor(reserve / this.#shards.length)
  }

  /** An entry in the shard where the quota has the largest part. */
  #victimElsewhere(quota: Quota, spared: Entry | undefined): Entry | undefined {
    const largest = this.#shards.reduce((a, b) => (b.unitsOf(quota) > a.unitsOf(quota) ? b : a))
    return largest.victim(quota, spared, { passes: MAX_SPARED })
  }
}
