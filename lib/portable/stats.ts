/** The counts of a segment. Those of other processes and of locks under contention are always 0. */
import type { NativeShard, NativeStats } from '../native/addon.ts'
import { Purpose, newSpace } from './entry.ts'
import type { Space, Tallies } from './entry.ts'
import { UNIT } from './geometry.ts'
import type { Segment } from './segment.ts'

const LOCK_WAIT_BUCKETS = 24

export function statsOf(segment: Segment, namespace: number): NativeStats {
  const { store, geometry } = segment
  segment.removeUnusedVersions()
  store.sweep()
  const values = [...store.spaces()].filter((space) => space.purpose === Purpose.Values)
  const quota = store.quotas.ofNamespace(namespace)
  const usedBytes = store.usedUnits * UNIT
  return {
    total: { ...sumOf(values), guaranteedBytes: store.quotas.reservedBytes, maximumBytes: geometry.capacity },
    own: {
      ...sumOf(values.filter((space) => space.namespace === namespace)),
      guaranteedBytes: quota.reserve * UNIT,
      maximumBytes: Math.min(quota.size * UNIT, geometry.capacity),
    },
    usedBytes,
    capacityBytes: geometry.capacity,
    reservedBytes: store.mostUnits * UNIT,
    repairs: 0,
    damaged: 0,
    busy: segment.busy,
    retries: 0,
    lockWaits: 0,
    lockWaitTimes: Array.from({ length: LOCK_WAIT_BUCKETS }, () => 0),
    lockWaitTotal: 0,
    tagsUnjudged: 0,
    limitsEvicted: store.limitsEvicted,
    processes: 1,
    namespaces: [...segment.namespaces],
    versions: segment.versions.all().map(({ name, processes }) => ({ name, processes })),
  }
}

/** How the space of each shard is used. A shard takes its space from the heap entry by entry. */
export function shardsOf({ store }: Segment): NativeShard[] {
  store.sweep()
  return store.shards.map((shard) => {
    const { small, main } = shard.queuesOf(store.quotas.shared)
    const bytes = shard.used * UNIT
    return {
      capacityBytes: (shard.units - 1) * UNIT,
      reservedBytes: bytes,
      usedBytes: bytes,
      smallBytes: small * UNIT,
      mainBytes: main * UNIT,
      pinnedBytes: shard.pinnedUnits * UNIT,
      words: shard.words,
      repairs: 0,
    }
  })
}

function sumOf(spaces: readonly Space[]): Tallies & { entries: number; bytes: number } {
  const sum = { ...newSpace(0, Purpose.Values).tallies, entries: 0, bytes: 0 }
  for (const { tallies, entries, units } of spaces) {
    for (const name of Object.keys(tallies) as (keyof Tallies)[]) sum[name] += tallies[name]
    sum.entries += entries.size
    sum.bytes += units * UNIT
  }
  return sum
}
