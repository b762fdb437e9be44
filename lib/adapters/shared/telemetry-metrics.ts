/**
 * The stats of a cache as observable metrics. They are read when metrics are collected, once for all of them.
 *
 * `cache.requests`, `cache.evictions`, `cache.entries` and `cache.estimated_size` have the names, units and attributes
 * of the built-in metrics of .NET, the only ones that a platform has; there are no semantic conventions for caches yet.
 * All others begin with `cache_machine.`.
 */
import type { Stats } from '../../segment/stats.ts'
import type { TelemetryAttributes, TelemetryMeter, TelemetryResult } from './telemetry-api.ts'
import type { ObservedCache } from './telemetry-calls.ts'

type Row = readonly [
  name: string,
  type: 'Counter' | 'UpDownCounter' | 'Gauge',
  unit: string,
  description: string,
  of: (stats: Stats) => number,
  attributes?: TelemetryAttributes,
]

const HIT = { 'cache.request.type': 'hit' }
const MISS = { 'cache.request.type': 'miss' }

/** Counts of the cache or the namespace. */
const OWN: readonly Row[] = [
  ['cache.requests', 'Counter', '{request}', 'Reads of the cache.', (stats) => stats.hits, HIT],
  ['cache.requests', 'Counter', '{request}', 'Reads of the cache.', (stats) => stats.misses, MISS],
  ['cache.evictions', 'Counter', '{eviction}', 'Entries that were evicted.', (stats) => stats.evictions],
  ['cache.entries', 'UpDownCounter', '{entry}', 'Entries now.', (stats) => stats.entries],
  ['cache.estimated_size', 'Gauge', 'By', 'Bytes of these entries.', (stats) => stats.bytes],
  ['cache_machine.sets', 'Counter', '{set}', 'Writes of values.', (stats) => stats.sets],
  ['cache_machine.deletes', 'Counter', '{delete}', 'Entries deleted by callers.', (stats) => stats.deletes],
  ['cache_machine.expirations', 'Counter', '{expiration}', 'Entries that expired.', (stats) => stats.expirations],
]

/** Counts of the segment. */
const COMMON: readonly Row[] = [
  ['cache_machine.memory.used', 'UpDownCounter', 'By', 'Bytes that entries occupy.', (stats) => stats.usedBytes],
  ['cache_machine.memory.capacity', 'Gauge', 'By', 'Bytes that entries can occupy.', (stats) => stats.capacityBytes],
  ['cache_machine.memory.reserved', 'UpDownCounter', 'By', 'Bytes from the system.', (stats) => stats.reservedBytes],
  ['cache_machine.memory.limit', 'Gauge', 'By', 'Bytes that the segment can have.', (stats) => stats.limitBytes],
  ['cache_machine.processes', 'UpDownCounter', '{process}', 'Processes attached now.', (stats) => stats.processes],
  ['cache_machine.repairs', 'Counter', '{repair}', 'Shards repaired after a death.', (stats) => stats.repairs],
  ['cache_machine.damaged', 'Counter', '{entry}', 'Entries dropped as damaged.', (stats) => stats.damaged],
  ['cache_machine.busy', 'Counter', '{write}', 'Writes that ended in ERR_BUSY.', (stats) => stats.busy],
  ['cache_machine.lock_waits', 'Counter', '{wait}', 'Writes that waited for others.', (stats) => stats.lockWaits],
]

const LEADER = 'cache-machine/opentelemetry'

/** Reports the stats of a cache. `byLeader`: while this handle leads. Returns a function that ends it. */
export function observeStats(cache: ObservedCache, meter: TelemetryMeter, byLeader: boolean): () => void {
  const { name, namespaceName } = cache
  const isNamespace = namespaceName !== ''
  const own: TelemetryAttributes = {
    'cache.name': name,
    ...(isNamespace && { 'cache_machine.namespace': namespaceName }),
  }
  const instruments = new Map<string, object>()
  const rows = (isNamespace ? OWN : [...OWN, ...COMMON]).map(([metric, type, unit, description, of, attributes]) => {
    const made = instruments.get(metric) ?? meter[`createObservable${type}`](metric, { description, unit })
    instruments.set(metric, made)
    return { metric: made, of, attributes: { ...own, ...attributes } }
  })
  const leader = byLeader ? lead(cache) : undefined
  const observe = (result: TelemetryResult): void => {
    if (leader?.leads() === false) return
    const stats = whileOpen(() => cache.stats())
    if (stats === undefined) return
    for (const { metric, of, attributes } of rows) {
      const value = of(stats)
      // A segment without a limit has an infinite one, which exporters cannot encode.
      if (Number.isFinite(value)) result.observe(metric, value, attributes)
    }
  }
  const all = [...instruments.values()]
  meter.addBatchObservableCallback(observe, all)
  return () => {
    meter.removeBatchObservableCallback(observe, all)
    leader?.end()
  }
}

/** Undefined for a cache that was closed: it reports nothing more. */
function whileOpen<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** Stands for election until `end`, again after each loss. */
function lead(cache: ObservedCache): { leads(): boolean; end(): void } {
  // Without spans: the wait for a leadership has no end.
  const elect = cache.elect.bind(cache)
  const ended = new AbortController()
  let leadership: Awaited<ReturnType<ObservedCache['elect']>> | undefined
  const stand = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      leadership = await elect(LEADER, { ref: false, signal: ended.signal })
      const { signal } = leadership
      await new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    }
  }
  // Rejects when it ends, and when the cache was closed.
  stand().catch(() => undefined)
  return {
    leads: () => whileOpen(() => leadership?.leads) === true,
    end() {
      ended.abort()
      whileOpen(() => leadership?.resign())
    },
  }
}
