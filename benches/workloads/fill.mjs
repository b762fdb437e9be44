/**
 * Sets of new keys into a full store, which has to evict one or more entries for each set.
 */
import { startAll } from '../suite.mjs'
import { kinds } from '../values.mjs'

const KIND = 'object'
const NEWEST = 500
/** An entry is larger than its value, so this multiple of the limit certainly does not fit. */
const OVERFILL = 1.25

const entrants = [
  'cache-machine-off',
  'lru-cache',
  'node-shared-cache-x',
  'ioredis',
  'ioredis-pipelined',
  'node-redis',
  'node-redis-pipelined',
  'memcached',
  'memcached-pipelined',
]
const quickEntrants = ['cache-machine-off', 'lru-cache', 'ioredis', 'ioredis-pipelined']

export const title = 'Fill and evict: sets of new keys into a full store'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureFill(suite) {
  const { plan, progress } = suite
  progress.part(`${title}, ${kinds[KIND].label}, ${plan.fillBytes / 2 ** 20} MiB`)
  const ids = plan.quick ? quickEntrants : entrants
  const startEntrant = ({ contender, placement }) => {
    progress.step(`filling ${contender.label}`)
    const limit = plan.fillBytes
    const entries = Math.floor(limit / (kinds[KIND].bytes + 100))
    const context = { name: suite.newName(), kind: KIND, bytes: limit, limit, entries }
    return suite.start('fill', { contender, placement, context }, async (group) => {
      await group.first.ask('fillUp', { kind: KIND, count: Math.ceil((limit / kinds[KIND].bytes) * OVERFILL) })
      await group.first.ask('insert', { duration: plan.warmUp })
    })
  }
  const groups = await startAll(
    suite.entrants(({ id }) => ids.includes(id)),
    1,
    startEntrant,
  )

  const results = await suite.alternate('fill', groups, async ({ first }) => {
    const { calls, elapsed } = await first.ask('insert', { duration: plan.window })
    return (calls / elapsed) * 1000
  })
  for (const group of groups) await suite.attempt('fill', group, checkSurvivors)

  for (const [{ contender, placement }, samples] of await suite.finish(results)) {
    suite.record({
      workload: 'fill',
      scene: 'object',
      operation: 'set when full',
      contender: contender.id,
      placement,
      unit: 'calls/s',
      better: 'higher',
      samples,
    })
  }
}

/** Checks that the store keeps new entries: at least half of the newest must be there. */
async function checkSurvivors({ first }) {
  const found = await first.ask('survivors', { kind: KIND, count: NEWEST })
  if (found < NEWEST / 2) throw new Error(`only ${found} of the newest ${NEWEST} entries are there`)
}
