/**
 * The quotas of namespaces: room that others cannot take, a maximum, an eviction of their own.
 *
 * Values of namespaces without a quota, and the states of limiters, have one in common, which only has the eviction of
 * the segment.
 */
import type { NativeQuota } from '../native/addon.ts'
import { isRecord } from './entry.ts'
import type { Quota, Space } from './entry.ts'
import { invalid, noSpace } from './failure.ts'
import { UNIT } from './geometry.ts'
import type { Geometry } from './geometry.ts'

const MAX_QUOTAS = 63

export class Quotas {
  /** Of all that has no quota of its own. */
  readonly shared: Quota
  readonly #own = new Map<number, Quota>()
  readonly #geometry: Geometry

  constructor(geometry: Geometry) {
    this.shared = { eviction: geometry.eviction, reserve: 0, size: Number.POSITIVE_INFINITY, used: 0 }
    this.#geometry = geometry
  }

  get #limit(): number {
    return limitOf(this.#geometry)
  }

  /** Throws if the reserves of all namespaces do not fit into a segment of these sizes. */
  checkReserves(geometry: Geometry): void {
    const reserved = this.#reservedBeside(undefined)
    if (reserved <= limitOf(geometry)) return
    const most = limitOf(geometry) * UNIT
    throw noSpace(`the new size is too small: the namespaces reserve ${reserved * UNIT} bytes, and may reserve ${most}`)
  }

  /** Whether a namespace has a quota. */
  get exist(): boolean {
    return this.#own.size > 0
  }

  *all(): Iterable<Quota> {
    yield this.shared
    yield* this.#own.values()
  }

  /** The quota that the entries of a space belong to. */
  of(space: Space): Quota {
    return isRecord({ space }) ? this.shared : this.ofNamespace(space.namespace)
  }

  ofNamespace(namespace: number): Quota {
    return this.#own.get(namespace) ?? this.shared
  }

  /** What was set for a namespace, as a setting. */
  settingOf(namespace: number): NativeQuota | undefined {
    const own = this.#own.get(namespace)
    if (own === undefined) return undefined
    const size = own.size === Number.POSITIVE_INFINITY ? undefined : own.size * UNIT
    const eviction = own.eviction === this.shared.eviction ? undefined : own.eviction
    return {
      reserve: own.reserve * UNIT,
      ...(size !== undefined && { size }),
      ...(eviction !== undefined && { eviction }),
    }
  }

  /** Bytes of all reserves. */
  get reservedBytes(): number {
    return this.#reservedBeside(undefined) * UNIT
  }

  /** Sets what is given. True: the namespace had no quota before. */
  set(namespace: number, { reserve, size, eviction }: NativeQuota): boolean {
    if (reserve === undefined && size === undefined && eviction === undefined) return false
    if (namespace === 0) throw invalid('the root has no quota: a segment has a size')
    const known = this.#own.get(namespace)
    if (known === undefined && this.#own.size >= MAX_QUOTAS) {
      throw noSpace(`${MAX_QUOTAS} namespaces have a quota already, which is the most`)
    }
    const quota = known ?? { ...this.shared, used: 0 }
    const units = reserve === undefined ? quota.reserve : Math.ceil(reserve / UNIT)
    const most = size === undefined ? quota.size : Math.max(1, Math.floor(size / UNIT))
    this.#check(quota, units, most)
    quota.reserve = units
    quota.size = most
    if (eviction !== undefined) quota.eviction = eviction
    this.#own.set(namespace, quota)
    return known === undefined
  }

  #check(quota: Quota, reserve: number, size: number): void {
    if (reserve > size) {
      throw invalid(`reserve is ${reserve * UNIT} bytes and size is ${size * UNIT} bytes, which is less`)
    }
    const others = this.#reservedBeside(quota)
    if (others + reserve <= this.#limit) return
    throw noSpace(
      `a reserve of ${reserve * UNIT} bytes beside ${others * UNIT} bytes of other reserves: together they can take ` +
        `three quarters of the entry space, ${this.#limit * UNIT} bytes`,
    )
  }

  #reservedBeside(quota: Quota | undefined): number {
    let sum = 0
    for (const other of this.#own.values()) if (other !== quota) sum += other.reserve
    return sum
  }
}

/** Units that all reserves together may take. */
function limitOf({ capacity }: Geometry): number {
  return Math.floor(capacity / UNIT / 4) * 3
}
