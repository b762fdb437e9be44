/**
 * Collections of 10, 1,000 and 100,000 elements: the time of a call by one process, beside Redis over a Unix socket and
 * beside values that are rewritten as a whole.
 */
const SIZES = [10, 1_000, 100_000]
const OPERATIONS = ['push and pop', 'hset', 'hget', 'zadd', 'zrange', 'zrank', 'transaction']
/** The way of before takes tens of milliseconds for a call on the largest ones. */
const MAX_WHOLE = 1_000

export const title = (size) => `Collections of ${Number(size).toLocaleString('en')} elements of 16 characters`

/** @param {import('../suite.mjs').Suite} suite */
export async function measureCollections(suite) {
  const { plan, progress } = suite
  for (const size of SIZES) {
    progress.part(title(size))
    const groups = []
    for (const { contender, placement } of suite.entrants(({ only }) => only === 'collections')) {
      if (contender.id === 'whole-values' && size > MAX_WHOLE) continue
      const options = { contender, placement, context: { name: suite.newName(), kind: 'string', bytes: 0 } }
      const group = await suite.start('collections', options, async (started) => {
        started.operations = await started.first.ask('loadCollections', { size, operations: OPERATIONS })
        for (const operation of started.operations) {
          await started.first.ask('callCollection', { operation, duration: plan.warmUp / OPERATIONS.length })
        }
      })
      if (group !== undefined) groups.push(group)
    }
    const results = await suite.alternate('collections', groups, async ({ first, operations }) => {
      const times = {}
      for (const operation of operations) {
        const { calls, elapsed } = await first.ask('callCollection', { operation, duration: plan.window })
        times[operation] = (elapsed * 1e6) / calls
      }
      return times
    })
    for (const [{ contender, placement }, rounds] of await suite.finish(results)) {
      for (const operation of Object.keys(rounds[0] ?? {})) {
        suite.record({
          workload: 'collections',
          scene: `${size}`,
          operation,
          contender: contender.id,
          placement,
          unit: 'ns',
          better: 'lower',
          samples: rounds.map((round) => round[operation]),
        })
      }
    }
  }
}
