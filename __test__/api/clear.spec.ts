/**
 * `clear`: it empties the cache at once and gives the room back.
 */
import test from 'ava'
import { openCache } from '../helpers/segment.ts'

test('clear empties the cache at once', (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 1000; i++) cache.set(`k${i}`, i)
  t.is(cache.size, 1000)
  cache.clear()
  t.is(cache.size, 0)
  for (let i = 0; i < 1000; i++) t.true(cache.get(`k${i}`) === undefined)
  t.false(cache.delete('k1'))
  t.true(cache.add('k1', 'new'))
  t.is(cache.size, 1)
})

test('cleared entries give back their room', (t) => {
  const cache = openCache(t, { eviction: 'none' })
  const value = Buffer.alloc(100_000)
  const fill = (): number => {
    for (let i = 0; ; i++) if (!cache.set(`k${i}`, value)) return i
  }
  const first = fill()
  t.true(first > 10)
  cache.clear()
  t.is(cache.size, 0)
  const second = fill()
  t.true(second >= first - 1, `${first} entries fit, and ${second} after clear`)
})

test('clear can be called thousands of times', (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 5000; i++) {
    cache.set('a', i)
    cache.clear()
    if (cache.get('a') !== undefined) t.fail(`at ${i}`)
  }
  cache.set('a', 'last')
  t.is(cache.get('a'), 'last')
})
