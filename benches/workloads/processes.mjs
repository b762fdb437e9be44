/**
 * Calls per second of 1, 2, 4 and 8 processes with one store, together.
 *
 * All start at the same instant and count until the same instant. More processes than processors keep those busy, so only the
 * free placement is measured.
 */
import { now } from '../measure.mjs'
import { inLanes } from '../suite.mjs'
import { kinds } from '../values.mjs'

const SEED = 77
const KIND = 'string'
const KEYS = 100_000
const SAMPLE = 2_000
export const counts = [1, 2, 4, 8]
const operations = ['get', '95/5']
const cells = operations.flatMap((operation) => counts.map((count) => ({ operation, count })))
/** Long enough that every process gets its turns on a processor. */
const WINDOWS = 2
/** Until the question has reached every process. */
const LEAD_MS = 30
/** Processes start their walk over the ring of calls far from one another. */
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
  const crews = (await inLanes(contenders, 1, (contender) => start(suite, contender))).filter(
    (crew) => crew !== undefined,
  )

  const results = await suite.alternate('processes', crews, (crew) => runEach(crew, plan))
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

function start(suite, contender) {
  suite.progress.step(`starting ${contender.label}`)
  const bytes = KEYS * (kinds[KIND].bytes + 100)
  const context = { name: suite.newName(), kind: KIND, bytes }
  return suite.start('processes', { contender, count: counts.at(-1), context }, async (crew) => {
    const values = { kind: KIND, keys: KEYS }
    if (contender.inProcess) await crew.askAll('load', () => values)
    else await crew.first.ask('load', values)
    await crew.askAll('verify', () => ({ ...values, sample: SAMPLE }))
    await crew.askAll('prepare', (place) => ({ ...values, operations, seed: SEED, place: place * STRIDE }))
    for (const operation of operations) {
      await crew.askAll('warm', () => ({ operation, duration: suite.plan.warmUp }))
    }
  })
}

async function runEach(crew, plan) {
  const rates = {}
  for (const { operation, count } of cells) {
    rates[`${operation} ${count}`] = await runTogether(crew, operation, count, plan)
  }
  return rates
}

/** @returns {Promise<number>} calls per second of all together */
async function runTogether(crew, operation, count, { window }) {
  const startAt = now() + LEAD_MS
  const runs = await crew.askAll('run', () => ({ operation, duration: window * WINDOWS, startAt }), count)
  return runs.reduce((total, { calls, elapsed }) => total + (calls / elapsed) * 1000, 0)
}
