/**
 * Lifetimes: `ttl`, `expiresAt`, `keepTtl`, and the default of `open`.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { Duration } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { openStopped } from '../helpers/segment.ts'

test('an entry lives until its deadline and not a millisecond longer', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 1000)
  advance(cache, 999)
  t.is(cache.get('a'), 1)
  t.true(cache.has('a'))
  t.is(cache.ttl('a'), 1)
  advance(cache, 1)
  t.is(cache.get('a'), undefined)
  t.is(cache.peek('a'), undefined)
  t.is(cache.getEntry('a'), undefined)
  t.is(cache.ttl('a'), undefined)
  t.is(cache.take('a'), undefined)
  t.false(cache.has('a'))
  t.false(cache.delete('a'))
  t.false(cache.touch('a', 1000))
})

test('a duration is a number of milliseconds or a number with a unit', (t) => {
  const cache = openStopped(t)
  const cases: [Duration, number][] = [
    [1, 1],
    [0.2, 1],
    [1500, 1500],
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1.5h', 5_400_000],
    ['1d', 86_400_000],
  ]
  for (const [ttl, milliseconds] of cases) {
    cache.set('a', 1, ttl)
    t.is(cache.ttl('a'), milliseconds, `${ttl}`)
    cache.set('a', 1, { ttl })
    t.is(cache.ttl('a'), milliseconds, `${ttl}`)
  }
})

test('an enormous ttl means practically for ever, and is no error', (t) => {
  const cache = openStopped(t)
  for (const ttl of [Number.MAX_VALUE, Number.MAX_SAFE_INTEGER, '999999d'] as const) {
    t.true(cache.set('a', 1, ttl))
    advance(cache, 365 * 86_400_000)
    t.is(cache.get('a'), 1)
  }
})

test('an entry without a ttl never expires', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1)
  t.is(cache.ttl('a'), Infinity)
  t.is(cache.getEntry('a')?.expiresAt, undefined)
  advance(cache, 10 * 365 * 86_400_000)
  t.is(cache.get('a'), 1)
})

test('a wrong lifetime throws and leaves the entry as it was', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 5000)
  const wrong: unknown[] = [0, -1, Number.NaN, -Infinity, '', '0s', '-5s', 'Infinity', '5', '5 s', '1e3ms', 's', null]
  wrong.push(true, [], Object, 5n, Symbol('ttl'))
  for (const ttl of wrong) {
    const calls = [
      () => cache.set('a', 2, ttl as Duration),
      () => cache.set('a', 2, { ttl: ttl as Duration }),
      () => cache.add('b', 2, ttl as Duration),
      () => cache.replace('a', 2, ttl as Duration),
      () => cache.touch('a', ttl as Duration),
      () => cache.incr('b', 1, { ttl: ttl as Duration }),
    ]
    // An array is an object without a ttl, and so a bag of options like any other.
    const checked = Array.isArray(ttl) ? calls.slice(1, 2).concat(calls.slice(4)) : calls
    for (const call of checked) t.throws(call, { instanceOf: CacheError, code: 'ERR_INVALID_TTL' }, String(ttl))
  }
  t.is(cache.get('a'), 1)
  t.is(cache.ttl('a'), 5000)
  t.false(cache.has('b'))
})

test('a set without a ttl removes the deadline of the entry that it replaces, and keepTtl keeps it', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 5000)
  advance(cache, 1000)
  cache.set('a', 2, { keepTtl: true })
  t.is(cache.ttl('a'), 4000)
  cache.replace('a', 3, { keepTtl: true, ttl: 9000 })
  t.is(cache.ttl('a'), 4000)
  cache.set('a', 4)
  t.is(cache.ttl('a'), Infinity)
  cache.set('a', 5, { keepTtl: true, ttl: 9000 })
  t.is(cache.ttl('a'), Infinity, 'the absence of a deadline is kept as well')
  cache.set('b', 1, { keepTtl: true, ttl: 9000 })
  t.is(cache.ttl('b'), 9000, 'without an entry, ttl applies')
})

test('keepTtl does not bring back the deadline of an entry that has expired', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 1000)
  advance(cache, 1000)
  cache.set('a', 2, { keepTtl: true })
  t.is(cache.ttl('a'), Infinity)
})

test('expiresAt is a moment in epoch milliseconds', (t) => {
  const cache = openStopped(t)
  t.true(cache.set('a', 1, { expiresAt: Date.now() + 60_000 }))
  const left = cache.ttl('a') ?? 0
  t.true(left > 59_000 && left <= 60_000, `${left}`)
  t.true(cache.add('b', 1, { expiresAt: Date.now() + 60_000 }))
  t.true((cache.ttl('b') ?? 0) > 59_000)
})

test('an expiresAt that has passed deletes the entry, and set returns false', (t) => {
  const cache = openStopped(t)
  for (const expiresAt of [Date.now() - 1, 0, -1]) {
    cache.set('a', 1)
    t.false(cache.set('a', 2, { expiresAt }))
    t.false(cache.has('a'))
    t.false(cache.set('none', 1, { expiresAt }))
    t.false(cache.has('none'))
  }
})

test('an expiresAt that has passed deletes only what the condition allows', (t) => {
  const cache = openStopped(t)
  cache.set('a', 1)
  const version = cache.getEntry('a')?.version ?? 0
  t.false(cache.set('a', 2, { expiresAt: 1, if: 'absent' }))
  t.is(cache.get('a'), 1)
  t.false(cache.add('a', 2, { expiresAt: 1 }))
  t.is(cache.get('a'), 1)
  t.false(cache.set('a', 2, { expiresAt: 1, if: { version: version + 1 } }))
  t.is(cache.get('a'), 1)
  t.false(cache.set('a', 2, { expiresAt: 1, if: { version } }))
  t.false(cache.has('a'))
})

test('a wrong expiresAt throws, and so does a ttl beside an expiresAt', (t) => {
  const cache = openStopped(t)
  for (const expiresAt of [Number.NaN, -Infinity, '5m', new Date(), null]) {
    t.throws(() => cache.set('a', 1, { expiresAt: expiresAt as number }), { code: 'ERR_INVALID_TTL' })
  }
  t.throws(() => cache.set('a', 1, { ttl: 1, expiresAt: Date.now() + 1000 }), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(cache.size, 0)
})

test('the default ttl of open applies to calls without a ttl', (t) => {
  const cache = openStopped(t, { ttl: '10s' })
  cache.set('a', 1)
  cache.set('b', 1, {})
  cache.set('c', 1, '20s')
  advance(cache, 10_000)
  t.deepEqual([cache.has('a'), cache.has('b'), cache.has('c')], [false, false, true])
})

test('an expired entry gives way to add and to a new counter', (t) => {
  const cache = openStopped(t)
  cache.set('a', 'text', 1000)
  t.false(cache.add('a', 1))
  advance(cache, 1000)
  t.is(cache.incr('a', 5, { init: 1 }), 6)
  cache.set('b', 1, 1000)
  advance(cache, 1000)
  t.true(cache.add('b', 2))
})

test('entries with different deadlines expire one by one', (t) => {
  const cache = openStopped(t)
  for (let i = 1; i <= 500; i++) cache.set(`k${i}`, i, i)
  for (let now = 1; now <= 500; now++) {
    advance(cache, 1)
    if (now % 50 !== 0) continue
    const alive = Array.from({ length: 500 }, (_, i) => cache.has(`k${i + 1}`))
    t.deepEqual(
      alive,
      Array.from({ length: 500 }, (_, i) => i + 1 > now),
      `after ${now} ms`,
    )
  }
})
