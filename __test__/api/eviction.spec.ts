/**
 * Eviction: each policy, and a cache that must not evict.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { Eviction, SharedCache } from '../../index.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache } from '../helpers/segment.ts'
import { describing, numberIn } from '../helpers/self-describing.ts'

const VALUE = 'x'.repeat(4000)

/** More than `SMALL` has room for. */
const MANY = 6000

function openWith(t: ExecutionContext, eviction: Eviction): SharedCache {
  return openCache(t, { size: SMALL, eviction })
}

for (const eviction of ['s3-fifo', 'lru'] as const) {
  test(`${eviction}: writes continue beyond the limit, and old entries are evicted`, (t) => {
    const cache = openWith(t, eviction)
    for (let i = 0; i < MANY; i++) {
      if (!cache.set(`k${i}`, VALUE)) t.fail(`set returned false at ${i}`)
      if (cache.get(`k${i}`) !== VALUE) t.fail(`the entry just written is gone at ${i}`)
    }
    const { entries, evictions, usedBytes, capacityBytes } = cache.stats()
    t.is(entries + evictions, MANY)
    t.true(usedBytes <= capacityBytes)
    t.true(usedBytes > capacityBytes * 0.8, `only ${usedBytes} of ${capacityBytes} used`)
    t.is(cache.size, entries)
    t.deepEqual(problems(cache), [])
  })

  test(`${eviction}: entries that are read often survive a scan`, (t) => {
    const cache = openWith(t, eviction)
    const hot = Array.from({ length: 50 }, (_, index) => `hot${index}`)
    for (const key of hot) cache.set(key, VALUE)
    for (let i = 0; i < MANY; i++) {
      cache.set(`scan${i}`, VALUE)
      if (i % 20 === 0) for (const key of hot) cache.get(key)
    }
    const kept = hot.filter((key) => cache.has(key)).length
    t.true(kept >= 45, `${kept} of 50 kept`)
  })

  test(`${eviction}: values of all sizes up to the limit always fit`, (t) => {
    const cache = openWith(t, eviction)
    for (let i = 0; i < 3000; i++) {
      const longest = i % 50 === 0 ? 1_000_000 : i % 5 === 0 ? 50_000 : 500
      const key = `k${i % 700}`
      if (!cache.set(key, describing(key, i + 1, longest))) t.fail(`set returned false at ${i}`)
      if (numberIn(key, cache.get(key), longest) !== i + 1) t.fail(`another value at ${i}`)
    }
    t.true(cache.stats().evictions > 0)
    t.deepEqual(problems(cache), [])
  })

  test(`${eviction}: an incremented or touched entry does not evict itself`, (t) => {
    const cache = openWith(t, eviction)
    for (let i = 0; i < MANY; i++) cache.set(`k${i}`, VALUE)
    t.is(cache.incr('counter'), 1)
    for (let i = 2; i < 1000; i++) t.true(cache.incr('counter') === i)
    cache.set('touched', VALUE)
    for (let i = 0; i < 1000; i++) t.true(cache.touch('touched', '1h'))
    t.is(cache.get('touched'), VALUE)
  })
}

test('s3-fifo: a scan of entries that are read once does not evict entries that are read twice', (t) => {
  const cache = openWith(t, 's3-fifo')
  const wanted = Array.from({ length: 200 }, (_, index) => `wanted${index}`)
  for (const key of wanted) cache.set(key, VALUE)
  for (const key of wanted) cache.get(key)
  for (const key of wanted) cache.get(key)
  for (let i = 0; i < MANY; i++) cache.set(`scan${i}`, VALUE)
  const kept = wanted.filter((key) => cache.has(key)).length
  t.true(kept > 150, `${kept} of 200 kept`)
})

test('lru: the entry that was not read for the longest time is evicted first', (t) => {
  const cache = openWith(t, 'lru')
  for (let i = 0; i < 400; i++) cache.set(`old${i}`, VALUE)
  for (let i = 0; i < 400; i++) cache.set(`new${i}`, VALUE)
  for (let round = 0; cache.stats().evictions < 300; round++) {
    for (let i = 0; i < 400; i++) cache.get(`new${i}`)
    cache.set(`more${round}`, VALUE)
  }
  const kept = (kind: string): number =>
    Array.from({ length: 400 }, (_, i) => cache.has(`${kind}${i}`)).filter(Boolean).length
  t.true(kept('new') > kept('old') + 200, `${kept('new')} new and ${kept('old')} old are left`)
})

test('none: set returns false when there is no room, and nothing is lost', (t) => {
  const cache = openWith(t, 'none')
  const stored: string[] = []
  for (let i = 0; stored.length === i; i++) if (cache.set(`k${i}`, `${VALUE}${i}`)) stored.push(`k${i}`)
  t.true(stored.length > 500)
  t.false(cache.add('one more', VALUE))
  t.false(cache.has('one more'))
  for (const [index, key] of stored.entries()) t.true(cache.get(key) === `${VALUE}${index}`)
  t.like(cache.stats(), { evictions: 0, entries: stored.length })
  t.deepEqual(problems(cache), [])
})

test('none: a refused write leaves the entry that it would have replaced', (t) => {
  const cache = openWith(t, 'none')
  cache.set('a', 'small')
  for (let i = 0; cache.set(`k${i}`, VALUE); i++);
  for (let i = 0; cache.set(`s${i}`, i); i++);
  t.false(cache.set('a', VALUE))
  t.is(cache.get('a'), 'small')
})

test('none: deleted entries give back their room', (t) => {
  const cache = openWith(t, 'none')
  let full = 0
  while (cache.set(`k${full}`, VALUE)) full++
  for (let i = 0; i < full; i++) cache.delete(`k${i}`)
  t.is(cache.size, 0)
  let again = 0
  while (cache.set(`k${again}`, VALUE)) again++
  t.true(again >= full - 1, `${full} entries fit, and ${again} after deleting all`)
})
