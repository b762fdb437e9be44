/**
 * Total calls per second of 1, 2, 4 and 8 processes with one store.
 *
 * All start and stop at the same time. More processes than processors keep the processors busy, so only the free
 * placement is measured.
 */
import { now } from '../measure.mjs'
import { startAll } from '../suite.mjs'
import { kinds } from '../values.mjs'

const SEED = 77
const KIND = 'string'
const KEYS = 100_000
const SAMPLE = 2_000
export const counts = [1, 2, 4, 8]
const operations = ['get', '95/5']
const cells = operations.flatMap((operation) => counts.map((count) => ({ operation, count })))
/** A multiple of the usual window, so that every process gets time on a processor. */
const WINDOWS = 2
/** Milliseconds between the request and the common start, so that the request reaches every process. */
const LEAD_MS = 30
/** The distance between the first calls of two processes in the schedule. */
const STRIDE = 7919

export const title = `1, 2, 4 and 8 processes, ${kinds[KIND].label}, ${KEYS.toLocaleString('en')} keys`

const entrants = [
  'cache-machine-off',
  'cache-machine-copy',
  'lru-cache',
  'lmdb',
  'lmdb-fresh',
  'better-sqlite3',
  'node-shared-cache-x',
  'ioredis',
  'node-redis',
  'memcached',
  'process-send-json',
]
const quickEntrants = ['cache-machine-off', 'cache-machine-copy', 'lmdb', 'ioredis']

/** @param {import('../suite.mjs').Suite} suite */
export async function measureProcesses(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const ids = plan.quick ? quickEntrants : entrants
  const contenders = suite.contenders.filter(({ id }) => ids.includes(id))
  const groups = await startAll(contenders, 1, (contender) => startEntrant(suite, contender))

  const results = await suite.alternate('processes', groups, (group) => runEach(group, plan))
  for (const [{ contender, placement }, rounds] of await suite.finish(results)) {
    for (const { operation, count } of cells) {
      suite.record({
        workload: 'processes',
        scene: 'string-100k',
        operation,
        contender: contender.id,
        placement,
        processes: count,
        unit: 'calls/s',
        better: 'higher',
        samples: rounds.map((round) => round[`${operation} ${count}`]),
      })
    }
  }
}

function startEntrant(suite, contender) {
  suite.progress.step(`starting ${contender.label}`)
  const bytes = KEYS * (kinds[KIND].bytes + 100)
  const context = { name: suite.newName(), kind: KIND, bytes }
  return suite.start('processes', { contender, count: counts.at(-1), context }, async (group) => {
    const values = { kind: KIND, keys: KEYS }
    if (contender.inProcess) await group.askAll('load', () => values)
    else await group.first.ask('load', values)
    await group.askAll('verify', () => ({ ...values, sample: SAMPLE }))
    await group.askAll('prepare', (index) => ({ ...values, operations, seed: SEED, offset: index * STRIDE }))
    for (const operation of operations) {
      await group.askAll('warm', () => ({ operation, duration: suite.plan.warmUp }))
    }
  })
}

async function runEach(group, plan) {
  const rates = {}
  for (const { operation, count } of cells) {
    rates[`${operation} ${count}`] = await runTogether(group, operation, count, plan)
  }
  return rates
}

/** @returns {Promise<number>} calls per second of all processes together */
async function runTogether(group, operation, count, { window }) {
  const startAt = now() + LEAD_MS
  const runs = await group.askAll('run', () => ({ operation, duration: window * WINDOWS, startAt }), count)
  return runs.reduce((total, { calls, elapsed }) => total + (calls / elapsed) * 1000, 0)
}
