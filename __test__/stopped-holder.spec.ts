/**
 * A process that is stopped inside a write: readers do not notice, writers to its shard get ERR_BUSY in time.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { CacheError } from '../index.ts'
import { problems } from '../lib/testing.ts'
import { eventually, within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, segmentName } from './helpers/segment.ts'
import { isStopped } from './helpers/system.ts'

const WRITE_TIMEOUT = 80

test.serial('while a holder is stopped reads go on and writes end in ERR_BUSY; afterwards all is well', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: WRITE_TIMEOUT })
  for (let i = 0; i < 100; i++) cache.set(`kept${i}`, `value ${i}`)
  cache.set('number', 1)
  const child = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] })
  await child.next()

  // Stop it again and again, until it holds the shard of some key.
  const { key, took } = await eventually(
    'the process is stopped inside a write',
    async () => {
      await delay(Math.random() * 5)
      child.kill('SIGSTOP')
      await isStopped(child.process.pid)
      for (let i = 0; i < 16; i++) {
        const before = performance.now()
        const code = codeOf(() => cache.set(`probe${i}`, i))
        if (code === 'ERR_BUSY') return { key: `probe${i}`, took: performance.now() - before }
      }
      child.kill('SIGCONT')
      return undefined
    },
    30_000,
  )
  t.true(took >= WRITE_TIMEOUT * 0.9, `gave up after ${took} ms`)
  t.true(took < WRITE_TIMEOUT + 2000, `only after ${took} ms`)

  const before = performance.now()
  for (let round = 0; round < 100; round++) {
    for (let i = 0; i < 100; i++) t.true(cache.get(`kept${i}`) === `value ${i}`)
  }
  for (const large of ['large1', 'large2']) {
    const value = cache.get(large) as Buffer | undefined
    t.true(value === undefined || value.every((byte) => byte === value[0]), 'old or new, never a mix')
  }
  t.true(cache.has('kept1'))
  t.is(cache.ttl('kept1'), Infinity)
  t.true(cache.size >= 100)
  t.log(`10,000 reads beside a stopped holder took ${(performance.now() - before).toFixed(1)} ms`)

  // Every kind of write gives up, and none of them waits as long again.
  const writes = [() => cache.set(key, 1), () => cache.delete(key), () => cache.incr(key), () => cache.touch(key, 1000)]
  const start = performance.now()
  for (let i = 0; i < 5; i++) for (const write of writes) t.is(codeOf(write), 'ERR_BUSY')
  t.true(performance.now() - start < 20 * WRITE_TIMEOUT, 'a shard known to be held is only looked at')
  t.true(cache.stats().busy >= 20)

  // A miss of `take` and a wait need no lock.
  for (let i = 0; i < 16; i++) t.is(cache.take(`missing${i}`), undefined)
  const waiting = cache.waitFor('kept2')
  t.is((await within('the entry', waiting)).value, 'value 2')

  child.kill('SIGCONT')
  await eventually('writes work again', () => codeOf(() => cache.set(key, 'written')) === undefined)
  t.is(cache.get(key), 'written')
  for (let i = 0; i < 100; i++) t.is(cache.get(`kept${i}`), `value ${i}`)

  child.kill()
  await child.exit
  t.true(cache.set(key, 'and without it'))
  t.is(cache.stats().damaged, 0)
  t.deepEqual(problems(cache), [])
})

test.serial('a process that is stopped and then killed is repaired by the next writer', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: 20 })
  for (let i = 0; i < 100; i++) cache.set(`kept${i}`, `value ${i}`)
  const key = await eventually(
    'the process is stopped inside a write',
    async () => {
      const child = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] })
      await child.next()
      await delay(Math.random() * 5)
      child.kill('SIGSTOP')
      await isStopped(child.process.pid)
      const busy = Array.from({ length: 16 }, (_, i) => `probe${i}`).find(
        (probe) => codeOf(() => cache.set(probe, 1)) === 'ERR_BUSY',
      )
      child.kill()
      await child.exit
      return busy
    },
    40_000,
  )
  const { repairs } = cache.stats()
  t.true(cache.set(key, 'after its death'))
  t.is(cache.stats().repairs, repairs + 1)
  for (let i = 0; i < 100; i++) t.is(cache.get(`kept${i}`), `value ${i}`)
  t.is(cache.stats().damaged, 0)
  t.deepEqual(problems(cache), [])
})

/** The code of what it throws, or undefined. */
function codeOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return error instanceof CacheError ? error.code : String(error)
  }
}
