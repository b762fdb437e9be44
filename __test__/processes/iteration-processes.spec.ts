/**
 * Walks over keys and entries while other processes write.
 */
import test from 'ava'
import type { Key } from '../../index.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import type { Rewriter } from '../children/rewriter.ts'

test('a walk that pauses delays no other process: others write, clear and invalidate', async (t) => {
  const name = segmentName(t)
  const cache = openCache<number>(t, { name })
  for (let i = 0; i < 3000; i++) cache.set(`k${i}`, i, { tags: ['t'] })
  const child = fork(t, 'operations', { name, size: SMALL, writeTimeout: 1 })
  await child.next()
  const walk = cache.entries()
  t.false(walk.next().done)
  const { lockWaits } = cache.stats()
  const items = Array.from({ length: 3000 }, (_, i) => [`k${i}`, -i])
  t.deepEqual(await child.ask(['setMany', items]), { value: items.map(() => true) })
  t.deepEqual(await child.ask(['deletePrefix', 'k2']), { value: 1111 })
  t.deepEqual(await child.ask(['invalidateTags', 't']), { value: undefined })
  t.is(cache.stats().lockWaits, lockWaits, 'no call waited for a lock')
  t.false(walk.next().done)
  t.deepEqual(await child.ask(['clear']), { value: undefined })
  t.deepEqual([...walk], [], 'cleared entries do not come any more')
})

test.serial('an entry that stays comes exactly once in each walk while four processes write', async (t) => {
  t.timeout(60_000)
  const KEPT = 2000
  const name = segmentName(t)
  const cache = openCache<string>(t, { name })
  cache.setMany(Array.from({ length: KEPT }, (_, i) => [`kept:${i}`, 'x']))
  const writers = [0, 1, 2, 3].map((me) =>
    fork(t, 'rewriter', { name, size: SMALL, me, kept: KEPT } satisfies Rewriter),
  )
  await Promise.all(writers.map((child) => child.next()))
  const before = cache.stats().sets
  let others = 0
  for (let walk = 0; walk < 30; walk++) {
    const met = new Map<Key, number>()
    for (const [key, value] of walk % 2 === 0 ? cache.entries() : cache.entries({ prefix: 'kept:' })) {
      met.set(key, (met.get(key) ?? 0) + 1)
      if (!/^x*$/.test(value)) t.fail(`${String(key)} has another's value`)
    }
    for (let i = 0; i < KEPT; i++) {
      if (met.get(`kept:${i}`) !== 1) t.fail(`walk ${walk}: kept:${i} came ${met.get(`kept:${i}`) ?? 0} times`)
    }
    others += met.size - KEPT
    // The writers need the processor as well.
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.true(others > 1000, `${others} others met`)
  t.true(cache.stats().sets > before + 1000, 'the writers wrote meanwhile')
  t.is(cache.stats().evictions, 0)
  for (const child of writers) {
    child.kill()
    await child.exit
  }
  t.deepEqual(problems(cache), [])
})
