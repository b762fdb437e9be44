/**
 * Sets of ever new keys into a store that is full, and has to evict one entry or more for each.
 */
import { inLanes } from '../suite.mjs'
import { kinds } from '../values.mjs'

const KIND = 'object'
const NEWEST = 500
/** An entry is more than its value: that many do not fit for sure. */
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
  const start = ({ contender, placement }) => {
    progress.step(`filling ${contender.label}`)
    const limit = plan.fillBytes
    const entries = Math.floor(limit / (kinds[KIND].bytes + 100))
    const context = { name: suite.newName(), kind: KIND, bytes: limit, limit, entries }
    return suite.start('fill', { contender, placement, context }, async (crew) => {
      await crew.first.ask('fillUp', { kind: KIND, count: Math.ceil((limit / kinds[KIND].bytes) * OVERFILL) })
      await crew.first.ask('insert', { duration: plan.warmUp })
    })
  }
  const entrantsNow = suite.entrants(({ id }) => ids.includes(id))
  const crews = (await inLanes(entrantsNow, 1, start)).filter((crew) => crew !== undefined)

  const results = await suite.alternate('fill', crews, async ({ first }) => {
    const { calls, elapsed } = await first.ask('insert', { duration: plan.window })
    return (calls / elapsed) * 1000
  })
  for (const crew of crews) await suite.attempt('fill', crew, checkSurvivors)

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

/** What was set last should be there, or it was not stored at all. */
async function checkSurvivors({ first }) {
  const found = await first.ask('survivors', { kind: KIND, count: NEWEST })
  if (found < NEWEST / 2) throw new Error(`of the newest ${NEWEST} entries ${found} are there`)
}
