/**
 * Processes that are killed in transactions: each transaction is there as a whole or not at all, and none that returned
 * is lost.
 */
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { STARTED, fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import type { TransactionWork } from '../children/transaction-worker.ts'

/** `KILLS=2000` for a campaign. */
const KILLS = Number(process.env['KILLS'] ?? 30)
const WORKERS = 3
const ACCOUNTS = 8
const BALANCE = 1000

test.serial(`${KILLS} kills leave no half of a transaction over shards, namespaces and collections`, async (t) => {
  t.timeout(60_000 + KILLS * 1000)
  const options = { name: segmentName(t), size: '64mb' } as const
  const cache = openCache<number>(t, options)
  for (let i = 0; i < ACCOUNTS; i++) cache.set(`account ${i}`, BALANCE)
  const begin = async (me: number): Promise<Child> => {
    const child = fork(t, 'transaction-worker', { options, accounts: ACCOUNTS, me } satisfies TransactionWork)
    await child.next(STARTED)
    return child
  }
  /** The sum of all accounts, and what each worker has moved, of one moment. */
  const state = (): { sum: number; moved: number[]; totals: number[] } =>
    cache.transaction(
      (tx) => ({
        sum: Array.from({ length: ACCOUNTS }, (_, i) => tx.get(`account ${i}`) ?? 0).reduce((a, b) => a + b),
        moved: Array.from({ length: WORKERS }, (_, me) => tx.hash<number>('moved').get(String(me)) ?? 0),
        totals: Array.from({ length: WORKERS }, (_, me) => tx.namespace<number>('totals').get(`worker ${me}`) ?? 0),
      }),
      { attempts: 1_000_000 },
    )
  const workers = await Promise.all(Array.from({ length: WORKERS }, (_, me) => begin(me)))
  for (let i = 0; i < KILLS; i++) {
    await pause((i * 7) % 20)
    const { sum, moved, totals } = state()
    t.is(sum, ACCOUNTS * BALANCE, `before kill ${i}`)
    t.deepEqual(moved, totals, `before kill ${i}`)
    const victim = i % WORKERS
    workers[victim]?.kill()
    await workers[victim]?.exit
    workers[victim] = await begin(victim)
  }
  for (const worker of workers) worker.kill()
  await Promise.all(workers.map(({ exit }) => exit))

  const { sum, moved, totals } = state()
  t.is(sum, ACCOUNTS * BALANCE)
  t.deepEqual(moved, totals)
  const done = cache.namespace<number>('done')
  for (let me = 0; me < WORKERS; me++) {
    const count = moved[me] ?? 0
    const [atLeast = 0, atMost = 0] = [done.get(`done ${me}`), done.get(`begun ${me}`)]
    t.true(count >= atLeast && count <= atMost, `worker ${me}: ${count}, of ${atLeast} to ${atMost}`)
    t.true(count > 0)
  }
  t.log(`${moved.reduce((a, b) => a + b)} transactions, ${KILLS} kills, ${cache.stats().repairs} in a critical section`)
  t.deepEqual(problems(cache), [])
  t.is(cache.stats().damaged, 0)
})

test.serial('transactions of threads and processes lose no increment', async (t) => {
  const options = { name: segmentName(t), size: '64mb' } as const
  const cache = openCache<number>(t, options)
  for (let i = 0; i < ACCOUNTS; i++) cache.set(`account ${i}`, BALANCE)
  const start = (me: number): Child => fork(t, 'transaction-worker', { options, accounts: ACCOUNTS, me })
  const workers = [start(0), start(1)]
  for (const worker of workers) await worker.next(STARTED)
  for (let i = 0; i < 2000; i++) {
    cache.transaction(
      (tx) => {
        tx.incr('own')
        tx.incr('account 0', 1)
        tx.incr('account 1', -1)
      },
      { attempts: 1_000_000 },
    )
  }
  for (const worker of workers) worker.kill()
  await Promise.all(workers.map(({ exit }) => exit))
  t.is(cache.get('own'), 2000)
  const accounts = cache.getMany(Array.from({ length: ACCOUNTS }, (_, i) => `account ${i}`)) as number[]
  t.is(
    accounts.reduce((a, b) => a + b),
    ACCOUNTS * BALANCE,
  )
  t.deepEqual(problems(cache), [])
})
