/**
 * No token, increment or count of any process is lost or given twice, also when processes are killed.
 *
 * `npm test` makes 10,000 calls of each kind in each of 8 processes.
 * `CALLS=100000 KILLS=500 npx ava __test__/faults/exactness.spec.ts` takes longer and covers more.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { compile } from '../helpers/compiled.ts'
import { LETTERS, WINDOW } from '../helpers/consuming.ts'
import { within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

const CALLS = Number(process.env['CALLS'] ?? 10_000)

const KILLS = Number(process.env['KILLS'] ?? 40)

/** Kills inside a lock that the test waits for, and the kills after which it gives up. */
const MIN_REPAIRS = 3
const MAX_KILLS = 10 * KILLS

const PROCESSES = 8

const SIZE = '8mb'

/** So few tokens in so long a window that none comes back while the test runs. */
const PLENTY = 20_000_000

const MINUTE = 60_000

/** What all processes did together, in the order of the letters of `children/consumer.ts`. */
function totals(cache: SharedCache, limit: number): number[] {
  const used = (['sliding-window', 'gcra', 'fixed-window'] as const).map(
    (algorithm) => limit - cache.limiter('api', { limit, window: WINDOW, algorithm }).peek('key').remaining,
  )
  const metrics = cache.metrics()
  const histogram = metrics.histogram('sizes', {}, { buckets: [1, 2, 3] }).value
  // The bucket and the sum change in one step.
  const observed = histogram.sum === histogram.count * 2 ? histogram.count : Number.NaN
  return [
    ...used,
    (cache.get('number') ?? 0) as number,
    metrics.counter('calls_total', { kind: 'all' }).value,
    observed,
  ]
}

test.serial('the totals are exact when 8 processes take tokens and count', async (t) => {
  t.timeout(5 * MINUTE + CALLS * 20)
  const name = segmentName(t)
  const cache = openCache(t, { name, size: SIZE })
  const total = PROCESSES * CALLS
  // Three quarters of the calls get a token.
  const limit = (total * 3) / 4
  const input = { name, size: SIZE, limit, calls: CALLS }
  const children = Array.from({ length: PROCESSES }, () => fork(t, 'consumer', input))
  await Promise.all(children.map((child) => child.next(MINUTE)))
  const allowed = await Promise.all(children.map((child) => child.ask<number[]>('go', 4 * MINUTE + CALLS * 20)))
  for (const algorithm of [0, 1, 2]) {
    t.is(
      allowed.reduce((sum, own) => sum + (own[algorithm] ?? 0), 0),
      limit,
    )
  }
  t.deepEqual(totals(cache, limit), [limit, limit, limit, total, total, total])
  t.deepEqual(problems(cache), [])
})

test.serial(
  'a process killed inside and outside of locks has done at most one call more than it reported',
  async (t) => {
    const compiled = compile(t, 4 * MINUTE + MAX_KILLS * 500)
    const name = segmentName(t)
    const cache = openCache(t, { name, size: SIZE })
    const said = [0, 0, 0, 0, 0, 0]
    let kills = 0
    const lanes = Array.from({ length: 4 }, async () => {
      while (kills < KILLS || (kills < MAX_KILLS && cache.stats().repairs < MIN_REPAIRS)) {
        kills++
        const letters = await lifeOfAConsumer(t, compiled, name)
        for (const letter of letters) said[LETTERS.indexOf(letter)] = (said[LETTERS.indexOf(letter)] ?? 0) + 1
      }
    })
    await within('all lives are over', Promise.all(lanes), 3 * MINUTE + MAX_KILLS * 500)

    const done = totals(cache, PLENTY)
    const { repairs, damaged } = cache.stats()
    t.log(`${kills} kills, ${repairs} in a critical section; reported ${said.join(', ')}; done ${done.join(', ')}`)
    t.true(
      said.every((count) => count > kills),
      'the processes made calls',
    )
    done.forEach((count, i) => {
      const least = said[i] ?? 0
      t.true(count >= least && count <= least + kills, `${count} done, ${least} reported, ${kills} kills`)
    })
    // Each repair is a kill inside a lock; all others were outside.
    t.true(repairs >= MIN_REPAIRS && repairs < kills, `${repairs} of ${kills} kills inside a lock`)
    t.is(damaged, 0)
    t.deepEqual(problems(cache), [])
  },
)

/** Starts a consumer, kills it a moment after its first output, and reads all its output. */
async function lifeOfAConsumer(t: ExecutionContext, compiled: string, name: string): Promise<string> {
  const input = { name, size: SIZE, limit: PLENTY, calls: 0 }
  const child = fork(t, 'consumer', input, { stdout: 'pipe', compiled })
  await child.next()
  child.process.stdout?.once('data', () => {
    setTimeout(() => child.kill(), 1 + Math.random() * 40)
  })
  child.send('go')
  const { signal } = await within('the end of a consumer', child.exit, 30_000)
  t.is(signal, 'SIGKILL')
  return child.output
}
