/**
 * `getOrSet`: how long a loaded value is kept.
 */
import ava from 'ava'
import type { LoadOptions } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { gate } from '../helpers/gate.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped, segmentName } from '../helpers/segment.ts'

const test = ava.serial

test('ttl is a lifetime or a function of the value; a value with a lifetime of 0 or less is not stored', async (t) => {
  const cache = openStopped(t, { ttl: 9000 })
  const ttlOf = async (key: string, options?: LoadOptions<number>): Promise<number | undefined> => {
    t.is(await cache.getOrSet(key, () => 1, options as LoadOptions<unknown>), 1)
    return cache.ttl(key)
  }
  t.is(await ttlOf('default'), 9000)
  t.is(await ttlOf('given', { ttl: '2s' }), 2000)
  t.is(await ttlOf('computed', { ttl: (value) => value * 500 }), 500)
  t.is(await ttlOf('text', { ttl: () => '3s' }), 3000)
  t.is(await ttlOf('undefined', { ttl: () => undefined }), 9000)
  t.is(await ttlOf('zero', { ttl: () => 0 }), undefined)
  t.is(await ttlOf('negative', { ttl: () => -5 }), undefined)
})

test('a value that is not stored still reaches all waiting callers, also those of other handles', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const loaded = gate<{ x: number } | undefined>()
  for (const [options, value] of [
    [{ ttl: () => 0 }, { x: 1 }],
    [{}, undefined],
  ] as const) {
    const loaded = gate<{ x: number } | undefined>()
    const first = cache.getOrSet('a', () => loaded.promise, options)
    const second = other.getOrSet('a', () => t.fail() as unknown)
    loaded.open(value)
    t.deepEqual(await first, value)
    t.deepEqual(await within('the second', second), value)
    t.false(cache.has('a'))
  }
  loaded.open(undefined)
})

test('jitter shortens a lifetime by a random part, and never lengthens it', async (t) => {
  const cache = openStopped(t)
  const ttls = []
  for (let i = 0; i < 200; i++) {
    await cache.getOrSet(`k${i}`, () => 1, { ttl: 10_000, jitter: 0.3 })
    ttls.push(cache.ttl(`k${i}`) ?? 0)
  }
  t.true(Math.min(...ttls) >= 7000 && Math.max(...ttls) <= 10_000)
  t.true(new Set(ttls).size > 100)
  await cache.getOrSet('forever', () => 1, { jitter: 1 })
  t.is(cache.ttl('forever'), Infinity)
})

test('tags are a list or a function of the value', async (t) => {
  const cache = openCache(t)
  await cache.getOrSet('a', () => 'red', { tags: ['x'] })
  await cache.getOrSet('b', () => 'red', { tags: (colour) => [colour] })
  cache.invalidateTags('x')
  t.deepEqual([cache.has('a'), cache.has('b')], [false, true])
  cache.invalidateTags('red')
  t.false(cache.has('b'))
})

test('negativeTtl remembers that there is no value; every other way of reading sees a miss', async (t) => {
  const cache = openStopped(t)
  let loads = 0
  const find = (): Promise<undefined> => {
    loads++
    return Promise.resolve(undefined)
  }
  const ask = (options?: LoadOptions<undefined>): Promise<string | undefined> => cache.getOrSet('a', find, options)
  t.is(await ask(), undefined)
  t.is(await ask({ negativeTtl: 1000 }), undefined)
  t.is(loads, 2)
  for (let i = 0; i < 3; i++) t.is(await ask(), undefined)
  t.is(loads, 2)
  t.is(cache.get('a'), undefined)
  t.deepEqual([cache.has('a'), cache.ttl('a'), cache.peek('a'), [...cache.keys()]], [false, undefined, undefined, []])
  t.is(cache.getEntry('a', { allowStale: true }), undefined)
  t.deepEqual(cache.getMany(['a']), [undefined])
  advance(cache, 1000)
  await ask({ negativeTtl: 1000 })
  t.is(loads, 3)
  const ends: (() => unknown)[] = [
    () => cache.delete('a'),
    () => cache.clear(),
    () => {
      cache.set('a', 'x')
      cache.delete('a')
    },
    () => cache.deletePrefix('a'),
  ]
  for (const [index, end] of ends.entries()) {
    end()
    await ask({ negativeTtl: 1000 })
    t.is(loads, 4 + index)
  }
  t.true(cache.add('a', 'there'))
  t.is(await ask(), 'there')
  t.is(await cache.getOrSet('tagged', find, { negativeTtl: 1000, tags: ['users'] }), undefined)
  const before = loads
  cache.invalidateTags('users')
  await cache.getOrSet('tagged', find)
  t.is(loads, before + 1)
})
