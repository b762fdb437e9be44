/**
 * Tokens per second that one process takes from a rate limiter, one call at a time: in shared memory and in Redis.
 *
 * Redis runs in both placements, as every round trip does.
 */
const KEYS = 1_000
const SEED = 7
/** A multiple of the usual window, because a round trip makes few calls in one window. */
const WINDOWS = 5

export const title = `Rate limiter: one token at a time, ${KEYS.toLocaleString('en')} keys`

/** @param {import('../suite.mjs').Suite} suite */
export async function measureLimiter(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const duration = plan.window * WINDOWS
  const groups = []
  for (const { contender, placement } of suite.entrants(({ only }) => only === 'limiter')) {
    const options = { contender, placement, context: { name: suite.newName(), kind: 'string', bytes: 0 } }
    const group = await suite.start('limiter', options, async ({ first }) => {
      await first.ask('prepareTokens', { keys: KEYS, seed: SEED })
      await first.ask('takeTokens', { duration: plan.warmUp })
    })
    if (group !== undefined) groups.push(group)
  }

  const results = await suite.alternate('limiter', groups, async ({ first }) => {
    const { calls, elapsed } = await first.ask('takeTokens', { duration })
    return (calls / elapsed) * 1000
  })
  for (const group of groups) await suite.attempt('limiter', group, ({ first }) => first.ask('checkTokens'))

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
