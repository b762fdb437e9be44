/**
 * What each adapter adds to the calls of the cache: its hit, its set and its count, and the same call on the cache
 * itself, in turns within one process. The rounds alternate between the adapters.
 */
import { adapterRows } from '../adapters/rows.mjs'

const KEYS = 1_000
/** A multiple of the usual window: half of it is for the call on the cache, and awaited calls are slow. */
const WINDOWS = 4

/** `count`: one more hit of a limiter, or an increment of a counter. */
const titles = { get: 'hit', set: 'set', count: 'count' }

/** The columns of the table of times. */
const sides = { adapter: 'adapter', bare: 'cache' }

/** The tables of this workload: a ratio for each call, and the times behind it. */
export const adapterTables = [
  {
    id: 'adapters-ratio',
    scene: 'ratio',
    title: 'A call through an adapter, as a multiple of the call on the cache',
  },
  { id: 'adapters-time', scene: 'time', title: 'Adapters: the times of these calls' },
]

/** @param {import('../suite.mjs').Suite} suite */
export async function measureAdapters(suite) {
  const { plan, progress } = suite
  progress.part(`Adapters: ${Object.values(titles).join(', ')}`)
  const open = []
  for (const row of adapterRows) {
    progress.step(`starting ${row.label}`)
    const entry = await startRow(suite, row)
    if (entry !== undefined) open.push(entry)
  }
  for (let round = 0; round < plan.rounds; round++) {
    // Another order in each round, so that a disturbance affects all alike.
    for (const [i] of open.entries()) {
      const { row, group, operations, samples } = open[(i + round) % open.length]
      progress.step(`round ${round + 1} of ${plan.rounds}, ${row.label}`)
      for (const operation of operations) {
        const args = { operation, duration: plan.window * WINDOWS }
        const result = await suite.attempt('adapters', group, () => group.first.ask('compareAdapter', args))
        if (result !== undefined) samples[operation].push(result)
      }
    }
  }
  for (const { row, group, operations, samples } of open) {
    await suite.attempt('adapters', group, () => group.first.ask('verifyAdapter'))
    // Results of some rounds make no figure.
    if (!suite.groups.has(group)) continue
    for (const operation of operations) record(suite, row.label, operation, samples[operation])
  }
  await suite.endGroups()
}

/** Undefined if the host is not installed, or asks for another version of Node.js. */
async function startRow(suite, row) {
  const group = await suite.start('adapters', {})
  if (group === undefined) return undefined
  // For reports of failures.
  group.contender = { id: row.label, label: row.label }
  let operations
  try {
    operations = await group.first.ask('openAdapter', { adapter: row.id, name: suite.newName(), keys: KEYS })
  } catch (error) {
    if (!/MODULE_NOT_FOUND|ERR_REQUIRE|PATH_NOT_EXPORTED/.test(error.message)) {
      await suite.drop('adapters', group, error)
      return undefined
    }
    suite.absent.push({ what: row.label, why: 'its host is not installed' })
    await group.end(suite)
    return undefined
  }
  const samples = Object.fromEntries(operations.map((operation) => [operation, []]))
  const isSound = await suite.attempt('adapters', group, async () => {
    await group.first.ask('verifyAdapter')
    for (const operation of operations) {
      await group.first.ask('compareAdapter', { operation, duration: suite.plan.warmUp })
    }
    return true
  })
  return isSound && { row, group, operations, samples }
}

function record(suite, contender, operation, samples) {
  const common = { workload: 'adapters', contender, better: 'lower' }
  const title = titles[operation]
  suite.record({
    ...common,
    scene: 'ratio',
    operation: title,
    unit: 'times',
    samples: samples.map(({ adapter, bare }) => adapter / bare),
  })
  for (const [side, label] of Object.entries(sides)) {
    suite.record({
      ...common,
      scene: 'time',
      operation: `${title}: ${label}`,
      unit: 'ns',
      samples: samples.map((sample) => sample[side]),
    })
  }
}
