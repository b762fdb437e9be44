import test from 'ava'
import { CacheError } from '../index.ts'
import type { SetOptions } from '../index.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, segmentName } from './helpers/segment.ts'

test('add stores only what is absent', (t) => {
  const cache = openCache(t)
  t.true(cache.add('a', 1))
  t.false(cache.add('a', 2))
  t.is(cache.get('a'), 1)
  cache.delete('a')
  t.true(cache.set('a', 3, { if: 'absent' }))
  t.false(cache.set('a', 4, { if: 'absent' }))
  t.is(cache.get('a'), 3)
})

test('replace stores only over what is present', (t) => {
  const cache = openCache(t)
  t.false(cache.replace('a', 1))
  t.false(cache.has('a'))
  cache.set('a', 1)
  t.true(cache.replace('a', 2))
  t.true(cache.set('a', 3, { if: 'present' }))
  t.is(cache.get('a'), 3)
  t.false(cache.set('b', 3, { if: 'present' }))
})

test('null, 0, false and the empty string are present', (t) => {
  const cache = openCache(t)
  for (const value of [null, 0, false, '', Buffer.alloc(0)]) {
    cache.set('a', value)
    t.false(cache.add('a', 1))
    t.true(cache.replace('a', value))
    t.deepEqual(cache.get('a'), value)
  }
})

test('a version is good for exactly one write', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const version = cache.getEntry('a')?.version ?? 0
  t.true(cache.set('a', 2, { if: { version } }))
  t.false(cache.set('a', 3, { if: { version } }))
  t.is(cache.get('a'), 2)
  t.false(cache.set('none', 1, { if: { version } }))
})

test('delete by version deletes that version only', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const version = cache.getEntry('a')?.version ?? 0
  cache.set('a', 2)
  t.false(cache.delete('a', { version }))
  t.is(cache.get('a'), 2)
  t.true(cache.delete('a', { version: cache.getEntry('a')?.version }))
  t.false(cache.has('a'))
})

test('a key that was deleted and set again has another version', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const version = cache.getEntry('a')?.version ?? 0
  cache.delete('a')
  cache.set('a', 1)
  t.false(cache.set('a', 2, { if: { version } }))
  t.false(cache.delete('a', { version }))
})

test('wrong conditions throw and store nothing', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const wrong: unknown[] = [
    'missing',
    true,
    0,
    null,
    {},
    { version: 0 },
    { version: -1 },
    { version: 1.5 },
    { version: '1' },
  ]
  for (const condition of wrong) {
    const options = { if: condition } as SetOptions
    t.throws(
      () => cache.set('a', 2, options),
      { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' },
      String(condition),
    )
  }
  t.throws(() => cache.add('b', 2, { if: 'present' } as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.replace('a', 2, { if: 'absent' } as never), { code: 'ERR_INVALID_ARGUMENT' })
  for (const version of [0, -1, 1.5, Number.NaN, '1', null]) {
    t.throws(() => cache.delete('a', { version: version as number }), { code: 'ERR_INVALID_ARGUMENT' })
  }
  t.is(cache.get('a'), 1)
  t.is(cache.size, 1)
})

test('of four processes that add the same keys each key is won once', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = Array.from({ length: 4 }, () => fork(t, 'contender', { name, size: SMALL, keys: 2000 }))
  await Promise.all(children.map((child) => child.next()))
  const wins = await Promise.all(children.map((child) => child.ask<string[]>('go')))
  t.is(wins.flat().length, 2000)
  t.is(new Set(wins.flat()).size, 2000)
  for (const [index, keys] of wins.entries()) {
    for (const key of keys) t.is(cache.get(key), children[index]?.process.pid)
  }
})

test('read, change and write under a version loses no change of four processes', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('list', { length: 0 })
  const children = Array.from({ length: 4 }, () => fork(t, 'swapper', { name, size: SMALL, times: 500 }))
  await Promise.all(children.map((child) => child.next()))
  await Promise.all(children.map((child) => child.ask('go', 30_000)))
  t.deepEqual(cache.get('list'), { length: 2000 })
})
