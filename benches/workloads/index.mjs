/**
 * All workloads, in the order in which they run. `group` is a common name of several workloads; one with `isByName` runs
 * only when `--only` names it.
 */
import { measureAdapters } from './adapters.mjs'
import { measureApps } from './apps.mjs'
import { measureBounds } from './bounds.mjs'
import { measureCollections } from './collections.mjs'
import { measureFill } from './fill.mjs'
import { measureHitRatio } from './hit-ratio.mjs'
import { measureLimiter } from './limiter.mjs'
import { measureLock } from './lock.mjs'
import { measureMemory } from './memory.mjs'
import { measureProcesses } from './processes.mjs'
import { measureCatalogue, measureTaggedReads } from './tags.mjs'
import { measureThroughput, scenes } from './throughput.mjs'
import { measureWakeUp } from './wake-up.mjs'

/**
 * @type {{ id: string, group?: string, isQuick?: boolean, isByName?: boolean, measure: (suite: import('../suite.mjs').Suite) =>
 *   Promise<void> }[]}
 */
export const workloads = [
  ...scenes.map((scene) => ({
    id: scene.id,
    group: 'throughput',
    isQuick: scene.id !== 'object-100k',
    measure: (suite) => measureThroughput(suite, scene),
  })),
  { id: 'processes', measure: measureProcesses },
  { id: 'wake-up', measure: measureWakeUp },
  { id: 'limiter', measure: measureLimiter },
  { id: 'lock', measure: measureLock },
  { id: 'memory', measure: measureMemory },
  { id: 'fill', measure: measureFill },
  { id: 'hit-ratio', measure: measureHitRatio },
  { id: 'tagged-reads', group: 'tags', isQuick: false, measure: measureTaggedReads },
  { id: 'catalogue', group: 'tags', isQuick: false, measure: measureCatalogue },
  { id: 'bounds', isByName: true, measure: measureBounds },
  { id: 'collections', isByName: true, measure: measureCollections },
  { id: 'apps', isByName: true, measure: measureApps },
  { id: 'adapters', isByName: true, measure: measureAdapters },
]

/**
 * @param {string | undefined} only Names and groups, separated by commas; default: all without `isByName`.
 * @throws if there is no workload of a name.
 */
export function selectWorkloads(only, { quick = false } = {}) {
  if (only === undefined)
    return workloads.filter(({ isQuick = true, isByName = false }) => !isByName && (!quick || isQuick))
  const wanted = only.split(',').map((name) => name.trim())
  const names = new Set(workloads.flatMap(({ id, group }) => [id, group]))
  const unknown = wanted.filter((name) => !names.has(name))
  if (unknown.length > 0) {
    throw new Error(
      `No such workload: ${unknown.join(', ')}. There are: throughput (all of ${scenes.map(({ id }) => id).join(', ')}), ${workloads
        .filter(({ group }) => group === undefined)
        .map(({ id }) => id)
        .join(', ')}`,
    )
  }
  return workloads.filter(({ id, group }) => wanted.includes(id) || wanted.includes(group))
}
