/**
 * A process that is suspended (SIGSTOP) inside a write: readers go on; writers to its shard get ERR_BUSY in time.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import type { Stats } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { fill, meet, provoke, stillFine } from '../helpers/provocations.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { startLargeWriter, suspendInsideWrite } from '../helpers/suspended-writer.ts'
import { isSuspended } from '../helpers/system.ts'

const WRITE_TIMEOUT = 80

test.serial(
  'reads go on and writes end in ERR_BUSY while a writer is suspended, and afterwards both work again',
  async (t) => {
    t.timeout(60_000)
    const name = segmentName(t)
    const options = { name, size: SMALL } as const
    const cache = openCache(t, { ...options, writeTimeout: WRITE_TIMEOUT })
    for (let i = 0; i < 100; i++) cache.set(`kept${i}`, `value ${i}`)
    cache.set('number', 1)
    const child = await startLargeWriter(t, options)
    const { key, took, error } = await suspendInsideWrite(child, cache)
    t.is((error as CacheError).code, 'ERR_BUSY')
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
    t.log(`10,000 reads beside a suspended holder took ${(performance.now() - before).toFixed(1)} ms`)

    // Every kind of write gives up, and none of them waits for the whole timeout again.
    const writes = [
      () => cache.set(key, 1),
      () => cache.delete(key),
      () => cache.incr(key),
      () => cache.touch(key, 1000),
    ]
    const start = performance.now()
    for (let i = 0; i < 5; i++) for (const write of writes) t.is(codeOf(write), 'ERR_BUSY')
    t.true(performance.now() - start < 20 * WRITE_TIMEOUT, 'a shard that is known to be held is only probed')
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
  },
)

test.serial('the next writer repairs the shard of a process that is suspended and then killed', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: 20 })
  for (let i = 0; i < 100; i++) cache.set(`kept${i}`, `value ${i}`)
  const key = await eventually(
    'the process is suspended inside a write',
    async () => {
      const child = await startLargeWriter(t, options)
      await delay(Math.random() * 5)
      child.kill('SIGSTOP')
      await isSuspended(child.process.pid)
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

test.serial('a destroy by force frees the name at once beside a process that is suspended inside a lock', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: 20 })
  cache.set('kept', 'old')
  const child = await startLargeWriter(t, options)
  const { key } = await suspendInsideWrite(child, cache)
  t.true(segments.destroy(name, { force: true }))
  t.is(segments.inspect(name), undefined)
  t.is(cache.get('kept'), undefined)
  t.true(cache.set(key, 'in the new segment'))
  t.is(cache.get(key), 'in the new segment')
  t.is(openCache(t, options).get(key), 'in the new segment')

  // The write that was under way when the segment ended is made in the new one.
  child.kill('SIGCONT')
  await eventually('the writer is in the new segment', () => cache.get('large1') !== undefined)
  t.is(cache.stats().degradedReads, 0)
  t.deepEqual(problems(cache), [])
})

/** The code of the error that the call throws, or undefined. */
function codeOf(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return error instanceof CacheError ? error.code : String(error)
  }
}

provoke(['ERR_BUSY'], 'a write to a shard that a suspended process holds is refused in time', async (t) => {
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: '50ms' })
  fill(cache)
  const child = await startLargeWriter(t, options)
  const { error } = await suspendInsideWrite(child, cache)
  t.true(error instanceof CacheError)
  t.is((error as CacheError).code, 'ERR_BUSY')
  meet(t, 'ERR_BUSY')
  for (let i = 0; i < 100; i++) t.is(typeof cache.get(`kept${i}`), 'object', 'reads go on')
  t.true(cache.stats().busy > 0)
  child.kill('SIGCONT')
  await eventually('the shard is free', () => {
    try {
      return cache.set('probe', 1)
    } catch {
      return false
    }
  })
  child.kill()
  await child.exit
  stillFine(t, cache)
})

test.serial('a wait is counted in the bucket of its length, in all processes alike', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: 100 })
  const other = fork(t, 'operations', { ...options, writeTimeout: 100 })
  await other.next()
  const child = await startLargeWriter(t, options)
  const { error, key } = await suspendInsideWrite(child, cache)
  t.is((error as CacheError).code, 'ERR_BUSY')
  const { lockWaitTimes, busy, lockWaits } = cache.stats()
  // It waited for 100 ms, and a little more until it woke.
  const long = lockWaitTimes.filter(({ below }) => below > 100)
  t.true(long.reduce((sum, { count }) => sum + count, 0) >= 1, JSON.stringify(lockWaitTimes))
  t.true(lockWaits > 0, 'it slept')
  t.is(busy, 1)
  t.throws(() => cache.deletePrefix('probe'), { code: 'ERR_BUSY' })
  t.is(cache.stats().busy, 2)

  // The waits of another process count in the same buckets, and both processes see them.
  const longWaits = (times: Stats['lockWaitTimes']): number =>
    times.filter(({ below }) => below > 100).reduce((sum, { count }) => sum + count, 0)
  const before = longWaits(cache.stats().lockWaitTimes)
  t.like(await other.ask(['set', key, 1]), { code: 'ERR_BUSY' })
  const after = cache.stats()
  t.is(longWaits(after.lockWaitTimes), before + 1)
  t.is(after.busy, 3)
  const theirs = (await other.ask<{ value: Stats }>(['stats'])).value
  t.deepEqual(theirs.lockWaitTimes, after.lockWaitTimes)
  t.deepEqual(openCache(t, { name }).namespace('any').stats().lockWaitTimes, after.lockWaitTimes)
  child.kill('SIGCONT')
})
