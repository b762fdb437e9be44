/**
 * Statistics: summed over processes, and how long writes waited for each other.
 */
import test from 'ava'
import { CacheError } from '../index.ts'
import type { Stats } from '../index.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'
import { isStopped } from './helpers/system.ts'

const COUNTED = ['hits', 'misses', 'sets', 'deletes', 'evictions', 'expirations', 'entries'] as const

function counted(stats: Stats): Record<string, number> {
  return Object.fromEntries(COUNTED.map((name) => [name, stats[name]]))
}

test('every process counts into the same sums, and a killed one leaves what it counted', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = [0, 1, 2].map(() => fork(t, 'operations', { name, size: SMALL }))
  await Promise.all(children.map((child) => child.next()))
  t.is(cache.stats().processes, 4)
  for (const [i, child] of children.entries()) {
    await child.ask(['set', `k${i}`, i])
    await child.ask(['get', `k${i}`])
    await child.ask(['getMany', [`k${i}`, 'none', 'none']])
    await child.ask(['incr', 'counter'])
    await child.ask(['add', 'k0', 1])
  }
  cache.get('k0')
  cache.delete('k1')
  const sums = { hits: 7, misses: 6, sets: 6, deletes: 1, evictions: 0, expirations: 0, entries: 3 }
  t.deepEqual(counted(cache.stats()), sums)
  const { value } = (await children[0]?.ask<{ value: Stats }>(['stats'])) ?? {}
  t.deepEqual(counted(value as Stats), sums, 'whoever asks')
  for (const child of children) {
    child.kill()
    await child.exit
  }
  await eventually('they do not count as attached', () => cache.stats().processes === 1)
  t.deepEqual(counted(cache.stats()), sums)
})

test('what reads leave no trace is not counted', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 1000)
  cache.peek('a')
  cache.peek('none')
  cache.has('a')
  cache.hasMany(['a', 'none'])
  cache.ttl('a')
  cache.touch('a', 2000)
  void [...cache]
  t.like(cache.stats(), { hits: 0, misses: 0, sets: 1 })
  cache.get('a')
  cache.getEntry('a')
  cache.take('a')
  cache.take('a')
  t.like(cache.stats(), { hits: 3, misses: 1, deletes: 1 })
})

test('lock waits are in buckets that double from 1 µs on, the last without a limit', (t) => {
  const { lockWaitTimes } = openCache(t).stats()
  t.is(lockWaitTimes.length, 24)
  t.deepEqual(
    lockWaitTimes.slice(0, -1).map(({ below }) => below),
    Array.from({ length: 23 }, (_, i) => 0.001 * 2 ** i),
  )
  t.is(lockWaitTimes.at(-1)?.below, Infinity)
  t.true(
    lockWaitTimes.every(({ count }) => count === 0),
    'nobody has waited',
  )
})

test.serial('a wait is counted in the bucket of its length, in all processes alike', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, { ...options, writeTimeout: 100 })
  const child = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] })
  await child.next()
  await eventually(
    'a write waits for a stopped holder until its time is up',
    async () => {
      child.kill('SIGSTOP')
      await isStopped(child.process.pid)
      try {
        for (let i = 0; i < 20; i++) cache.set(`probe${i}`, i)
        child.kill('SIGCONT')
        return false
      } catch (error) {
        return error instanceof CacheError && error.code === 'ERR_BUSY'
      }
    },
    30_000,
  )
  const { lockWaitTimes, busy, lockWaits } = cache.stats()
  // It waited for 100 ms, and something more until it was told.
  const long = lockWaitTimes.filter(({ below }) => below > 100)
  t.true(long.reduce((sum, { count }) => sum + count, 0) >= 1, JSON.stringify(lockWaitTimes))
  t.true(lockWaits > 0, 'it slept')
  t.is(busy, 1)
  t.throws(() => cache.deletePrefix('probe'), { code: 'ERR_BUSY' })
  t.is(cache.stats().busy, 2)
  t.deepEqual(openCache(t, { name }).namespace('any').stats().lockWaitTimes.length, lockWaitTimes.length)
  child.kill('SIGCONT')
})

test('a scope is one of two', (t) => {
  const cache = openCache(t)
  for (const options of [null, 'segment', 5, { scope: 'all' }, { scope: null }]) {
    t.throws(() => cache.stats(options as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
})
