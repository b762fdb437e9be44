/**
 * Tags: what a read costs while other tags are invalidated, and the hit ratio of a catalogue beside that of exact tags.
 */
import { kinds } from '../values.mjs'

const KIND = 'object'
const KEYS = 1_000
const SEED = 99
/** Invalidations in a second. */
const RATES = [0, 10, 1_000]
/** The lowest rate needs a longer run than other workloads. */
const WINDOWS = 5
const readers = ['cache-machine-off', 'cache-machine-copy', 'cache-machine-frozen']

export const readsTitle = `Reads of ${kinds[KIND].label}s with tags while another process invalidates other tags`

/** @param {import('../suite.mjs').Suite} suite */
export async function measureTaggedReads(suite) {
  const { plan, progress } = suite
  progress.part(readsTitle)
  const duration = plan.window * WINDOWS
  const groups = []
  for (const contender of suite.contenders.filter(({ id }) => readers.includes(id))) {
    const context = { name: suite.newName(), kind: KIND, bytes: KEYS * (kinds[KIND].bytes + 100) }
    const group = await suite.start('tagged-reads', { contender, count: 2, context }, async ({ first }) => {
      await first.ask('loadTagged', { kind: KIND, keys: KEYS })
      await first.ask('verify', { kind: KIND, keys: KEYS })
      await first.ask('prepare', { kind: KIND, keys: KEYS, operations: ['get'], seed: SEED })
      await first.ask('warm', { operation: 'get', duration: plan.warmUp })
    })
    if (group !== undefined) groups.push(group)
  }

  const results = await suite.alternate('tagged-reads', groups, async (group) => {
    const times = {}
    for (const perSecond of RATES) {
      const invalidating = perSecond === 0 ? undefined : group.ask(1, 'invalidateOthers', { perSecond, duration })
      const [{ calls, elapsed }] = await Promise.all([
        group.first.ask('run', { operation: 'get', duration }),
        invalidating,
      ])
      times[perSecond] = (elapsed * 1e6) / calls
    }
    return times
  })
  for (const group of groups) {
    await suite.attempt('tagged-reads', group, ({ first }) => first.ask('verify', { kind: KIND, keys: KEYS }))
  }

  for (const [{ contender }, rounds] of await suite.finish(results)) {
    for (const perSecond of RATES) {
      suite.record({
        workload: 'tagged-reads',
        scene: 'object-1k',
        operation: `${perSecond.toLocaleString('en')} a second`,
        contender: contender.id,
        processes: 2,
        unit: 'ns',
        better: 'lower',
        samples: rounds.map((round) => round[perSecond]),
      })
    }
  }
}

const ITEMS = 20_000
const READS_A_MINUTE = 60_000
const INVALIDATIONS_A_MINUTE = [100, 1_000, 5_000, 20_000]
const cataloguers = ['cache-machine-off', 'cache-machine-copy']

export const catalogueTitle = 'A catalogue of 20,000 items with a tag each: hit ratios by invalidations a minute'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureCatalogue(suite) {
  const { plan, progress } = suite
  progress.part(catalogueTitle)
  const contenders = suite.contenders.filter(({ id }) => cataloguers.includes(id))
  // The reference is the same for all of them.
  const exact = new Map()
  for (const contender of contenders) {
    const group = await suite.start('catalogue', {})
    if (group === undefined) continue
    for (const invalidations of INVALIDATIONS_A_MINUTE) {
      progress.step(`${invalidations} a minute, ${contender.label}`)
      const args = {
        contender: contender.id,
        context: { name: suite.newName(), kind: 'string', bytes: 0 },
        items: ITEMS,
        reads: READS_A_MINUTE,
        invalidations,
        minutes: plan.catalogueMinutes,
        seed: SEED,
      }
      const found = await suite.attempt('catalogue', group, () => group.first.ask('replayCatalogue', args))
      if (found === undefined) break
      exact.set(invalidations, found.exact)
      record(suite, invalidations, contender.id, found.percent)
      record(suite, invalidations, `points below exact tags, ${contender.label}`, found.exact - found.percent)
    }
    await group.end(suite)
  }
  for (const [invalidations, percent] of exact) record(suite, invalidations, 'exact tags', percent)
}

function record(suite, invalidations, contender, percent) {
  const operation = `${invalidations.toLocaleString('en')} a minute`
  suite.record({ workload: 'catalogue', operation, contender, unit: '%', better: 'higher', samples: [percent] })
}
