/**
 * Conditional writes: `add`, `replace`, `if` and versions.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { SetOptions } from '../../index.ts'
import { openCache } from '../helpers/segment.ts'

test('add stores only a missing key', (t) => {
  const cache = openCache(t)
  t.true(cache.add('a', 1))
  t.false(cache.add('a', 2))
  t.is(cache.get('a'), 1)
  cache.delete('a')
  t.true(cache.set('a', 3, { if: 'absent' }))
  t.false(cache.set('a', 4, { if: 'absent' }))
  t.is(cache.get('a'), 3)
})

test('replace stores only over an existing entry', (t) => {
  const cache = openCache(t)
  t.false(cache.replace('a', 1))
  t.false(cache.has('a'))
  cache.set('a', 1)
  t.true(cache.replace('a', 2))
  t.true(cache.set('a', 3, { if: 'present' }))
  t.is(cache.get('a'), 3)
  t.false(cache.set('b', 3, { if: 'present' }))
})

test('null, 0, false and the empty string count as present', (t) => {
  const cache = openCache(t)
  for (const value of [null, 0, false, '', Buffer.alloc(0)]) {
    cache.set('a', value)
    t.false(cache.add('a', 1))
    t.true(cache.replace('a', value))
    t.deepEqual(cache.get('a'), value)
  }
})

test('a version allows exactly one write', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const version = cache.getEntry('a')?.version ?? 0
  t.true(cache.set('a', 2, { if: { version } }))
  t.false(cache.set('a', 3, { if: { version } }))
  t.is(cache.get('a'), 2)
  t.false(cache.set('none', 1, { if: { version } }))
})

test('delete with a version deletes only that version', (t) => {
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
