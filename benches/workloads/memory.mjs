/**
 * The memory of 4 workers that can each read the same 100,000 objects, minus that of 4 workers without a cache. There
 * are two kinds of workers without a cache: empty ones, and ones that have made all the objects and kept none. The two
 * kinds differ by the memory that V8 keeps for young objects after it had many: about 10 MiB for each worker, with any
 * cache. The claims use the empty ones.
 *
 * Memory is the sum of PSS: each of n processes that share a page counts 1/n of it. A server adds its own PSS. Before
 * the measurement, all workers read every value and collect garbage.
 */
import { readFileSync } from 'node:fs'
import { kinds } from '../values.mjs'

const WORKERS = 4
const KIND = 'object'
const SAMPLE = 1_000
const entrants = ['cache-machine-near-1000', 'lru-cache', 'ioredis', 'lmdb', 'memcached']
const quickEntrants = ['cache-machine-near-1000', 'lru-cache', 'ioredis']

const operations = { empty: 'PSS over an empty app', busy: 'over one that made the objects' }

export const title = 'Memory of 4 workers with the same 100,000 objects of 1 KiB'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureMemory(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const ids = plan.quick ? quickEntrants : entrants
  const contenders = suite.contenders.filter(({ id }) => ids.includes(id))
  const samples = new Map(contenders.map((contender) => [contender, { empty: [], busy: [] }]))
  const failed = new Set()
  for (let round = 0; round < plan.memoryRounds; round++) {
    progress.step(`round ${round + 1} of ${plan.memoryRounds}, no cache`)
    const empty = await memoryOf(suite, undefined, round)
    const busy = await memoryOf(suite, undefined, round, { makesAll: true })
    for (const contender of contenders.filter((each) => !failed.has(each))) {
      progress.step(`round ${round + 1} of ${plan.memoryRounds}, ${contender.label}`)
      const total = await memoryOf(suite, contender, round)
      if ([total, empty, busy].includes(undefined)) {
        failed.add(contender)
        continue
      }
      samples.get(contender).empty.push((total - empty) / 2 ** 20)
      samples.get(contender).busy.push((total - busy) / 2 ** 20)
    }
  }

  for (const [contender, over] of samples) {
    for (const [base, operation] of Object.entries(operations)) {
      suite.record({
        workload: 'memory',
        scene: 'object-100k',
        operation,
        contender: contender.id,
        processes: WORKERS,
        unit: 'MiB',
        better: 'lower',
        samples: failed.has(contender) ? [] : over[base],
      })
    }
  }
}

/** Bytes; undefined if the measurement failed. */
async function memoryOf(suite, contender, round, { makesAll = false } = {}) {
  const keys = suite.plan.memoryKeys
  const values = { kind: KIND, keys }
  const bytes = keys * (kinds[KIND].bytes + 100)
  // Each round starts a server of its own, which is empty.
  const instance = `memory-${round}`
  const context = { name: suite.newName(), bytes, kind: KIND, instance }
  const options = { contender, count: WORKERS, context, execArgv: ['--expose-gc'] }
  const group = await suite.start('memory', options)
  if (group === undefined) return undefined
  const total = await suite.attempt('memory', group, async () => {
    if (contender?.inProcess) await group.askAll('load', () => values)
    else if (contender !== undefined) await group.first.ask('load', values)
    if (contender !== undefined) await readEverything(group, values)
    if (makesAll) await group.askAll('makeAll', () => values)
    await group.askAll('collect')
    const pids = [...group.pids]
    if (contender?.server !== undefined) pids.push(await suite.servers.pidOf(contender.server, 'free', { instance }))
    return pids.reduce((sum, pid) => sum + proportionalSetSize(pid), 0)
  })
  await group.end(suite)
  if (contender?.server !== undefined) await suite.servers.stop(contender.server, 'free', { instance })
  return total
}

/** Reads all values in all workers, so that each has mapped all shared pages and filled its near cache. */
async function readEverything(group, values) {
  await group.askAll('verify', () => ({ ...values, sample: SAMPLE }))
  const sums = await group.askAll('readAll', () => values)
  if (new Set(sums).size !== 1) throw new Error(`the workers have read different values: ${sums}`)
}

function proportionalSetSize(pid) {
  const [, kibibytes] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))
  return Number(kibibytes) * 1024
}
