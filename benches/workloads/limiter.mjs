/**
 * Tokens of a rate limiter that a process takes per second, one call at a time: shared memory, and Redis.
 *
 * With both where they are free to run and on one processor, as for every round trip.
 */
const KEYS = 1_000
const SEED = 7
/** Of the window of other workloads: a round trip makes few calls in one. */
const LONGER = 5

export const title = `Rate limiter: one token at a time, ${KEYS.toLocaleString('en')} keys`

/** @param {import('../suite.mjs').Suite} suite */
export async function measureLimiter(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const duration = plan.window * LONGER
  const crews = []
  for (const { contender, placement } of suite.entrants(({ only }) => only === 'limiter')) {
    const options = { contender, placement, context: { name: suite.newName(), kind: 'string', bytes: 0 } }
    const crew = await suite.start('limiter', options, async ({ first }) => {
      await first.ask('prepareTokens', { keys: KEYS, seed: SEED })
      await first.ask('takeTokens', { duration: plan.warmUp })
    })
    if (crew !== undefined) crews.push(crew)
  }

  const results = await suite.alternate('limiter', crews, async ({ first }) => {
    const { calls, elapsed } = await first.ask('takeTokens', { duration })
    return (calls / elapsed) * 1000
  })
  for (const crew of crews) await suite.attempt('limiter', crew, ({ first }) => first.ask('checkTokens'))

  for (const [{ contender, placement }, samples] of await suite.finish(results)) {
    suite.record({
      workload: 'limiter',
      operation: 'consume',
      contender: contender.id,
      placement,
      unit: 'calls/s',
      better: 'higher',
      samples,
    })
  }
}
