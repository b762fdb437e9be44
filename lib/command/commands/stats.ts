/** `stats`: the counts of a segment or of a namespace. */
import { openSegment } from '../command.ts'
import type { Command } from '../command.ts'
import { count, duration, share, size, some } from '../output.ts'
import type { Stats } from '../../segment/stats.ts'
import { NAMESPACE, SEGMENT } from '../grammar.ts'

export const stats: Command = {
  name: 'stats',
  summary: 'show the counts of a segment: hits, misses, writes, evictions, memory',
  about: [
    'The counts are those of all processes since the segment was created. With --namespace, the first block is that of ' +
      'the namespace; the rest is always that of the whole segment.',
    'The command attaches for a moment, and is the one more process in "processes".',
  ],
  parameters: [SEGMENT],
  options: { namespace: NAMESPACE },
  examples: [
    ['cache-machine stats app', 'the whole segment'],
    ['cache-machine stats app -n sessions', 'one namespace'],
    ["cache-machine stats app --json | jq '.hits / (.hits + .misses)'", 'the hit ratio'],
  ],
  json: 'the object of cache.stats(); the "below" of the last lock wait bucket is null, which stands for Infinity',
  run(call, world) {
    using opened = openSegment(call, world)
    const found = opened.cache.stats()
    if (call.flag('json')) world.out.json(found)
    else world.out.pairs(pairsOf(found))
    return 0
  },
}

function pairsOf(stats: Stats): [string, string][] {
  const { hits, misses, lockWaits, lockWaitTotal, namespaces } = stats
  return [
    ['hits', `${count(hits)} (${share(hits, hits + misses)})`],
    ['misses', count(misses)],
    ['sets', count(stats.sets)],
    ['deletes', count(stats.deletes)],
    ['evictions', evictionsOf(stats)],
    ['expirations', count(stats.expirations)],
    ['entries', `${count(stats.entries)}, ${size(stats.bytes)} of ${size(stats.maximumBytes)}`],
    [
      'used',
      `${size(stats.usedBytes)} of ${size(stats.capacityBytes)} (${share(stats.usedBytes, stats.capacityBytes)})`,
    ],
    ['taken', `${size(stats.reservedBytes)} of ${size(stats.limitBytes)} that can be had here`],
    ['lock waits', `${count(lockWaits)} that slept, ${duration(lockWaitTotal)} in all waits`],
    ['busy', `${count(stats.busy)} writes ended in ERR_BUSY`],
    ['repairs', `${count(stats.repairs)} after deaths inside a write, ${count(stats.damaged)} entries dropped`],
    ['processes', count(stats.processes)],
    ['namespaces', namespaces.length === 0 ? '-' : namespaces.join(', ')],
    ...versionsOf(stats),
  ]
}

/** A line only if the application has versions. */
function versionsOf({ versions }: Stats): [string, string][] {
  if (versions.length === 0) return []
  return [
    [
      'versions',
      versions.map(({ name, processes }) => `${name} (${some(processes, 'process', 'processes')})`).join(', '),
    ],
  ]
}

function evictionsOf({ evictions, evictedForSize, evictedForOthers }: Stats): string {
  const reasons = [
    evictedForSize > 0 ? `${count(evictedForSize)} for a quota` : '',
    evictedForOthers > 0 ? `${count(evictedForOthers)} for others` : '',
  ].filter(Boolean)
  return reasons.length === 0 ? count(evictions) : `${count(evictions)} (${reasons.join(', ')})`
}
