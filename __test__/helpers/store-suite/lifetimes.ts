/**
 * Lifetimes: `ttl`, `expiresAt`, `keepTtl` and `touch`.
 */
import type { Duration, SetOptions } from '../../../index.ts'
import { absent, holds } from './contract.ts'
import type { Contract } from './contract.ts'

export function lifetimes(contract: Contract): void {
  contract('an entry lives until its deadline and not a millisecond longer', (t, { store, advance }) => {
    store.set('a', { v: 1 }, 1000)
    advance(999)
    holds(t, store, 'a', { v: 1 })
    t.is(store.ttl('a'), 1)
    advance(1)
    absent(t, store, 'a')
    t.false(store.touch('a', 1000))
    t.false(store.delete('a'))
  })

  contract('an entry without a ttl never expires, and its ttl is Infinity', (t, { store, advance }) => {
    store.set('a', 1)
    t.is(store.ttl('a'), Infinity)
    advance(86_400_000)
    holds(t, store, 'a', 1)
    t.is(store.ttl('none'), undefined)
  })

  contract('lifetimes are milliseconds or durations, alone or as an option', (t, { store }) => {
    const cases: [Duration, number][] = [
      [1500, 1500],
      ['250ms', 250],
      ['30s', 30_000],
      ['5m', 300_000],
      ['2h', 7_200_000],
      ['1d', 86_400_000],
    ]
    for (const [ttl, milliseconds] of cases) {
      for (const given of [ttl, { ttl }]) {
        store.set('a', 1, given)
        t.is(store.ttl('a'), milliseconds)
      }
    }
  })

  contract('a set without a ttl removes the deadline, and keepTtl keeps it', (t, { store, advance }) => {
    store.set('a', 1, 1000)
    store.set('a', 2, { keepTtl: true })
    t.is(store.ttl('a'), 1000)
    store.set('a', 3)
    t.is(store.ttl('a'), Infinity)
    advance(1000)
    holds(t, store, 'a', 3)
  })

  contract('expiresAt is a moment, and a passed one deletes the entry', (t, { store }) => {
    t.true(store.set('a', 1, { expiresAt: Date.now() + 60_000 }))
    const left = store.ttl('a') ?? 0
    t.true(left > 50_000 && left <= 60_000, `${left}`)
    t.false(store.set('a', 2, { expiresAt: Date.now() - 1 }))
    absent(t, store, 'a')
  })

  contract('touch sets a new lifetime and keeps the value', (t, { store, advance }) => {
    t.false(store.touch('a', 1000))
    store.set('a', [1], 1000)
    holds(t, store, 'a', [1])
    advance(900)
    t.true(store.touch('a', '1s'))
    t.is(store.ttl('a'), 1000)
    advance(900)
    holds(t, store, 'a', [1])
    advance(100)
    absent(t, store, 'a')
  })

  contract('touch can shorten a lifetime', (t, { store, advance }) => {
    store.set('a', 1, '1h')
    holds(t, store, 'a', 1)
    t.true(store.touch('a', 10))
    advance(10)
    absent(t, store, 'a')
  })

  contract('a lifetime of Infinity is no expiry', async (t, { store }) => {
    const options = { ttl: Infinity }
    store.set('a', 1, Infinity)
    store.set('b', 1, options)
    store.setMany(
      [
        ['c', 1],
        ['d', 1, Infinity],
      ],
      options,
    )
    store.set('e', 1, 5000)
    t.true(store.touch('e', Infinity))
    store.incr('f', 1, options)
    await store.getOrSet('g', () => 1, options)
    await store.getOrSet('h', () => 1, { ttl: () => Infinity })
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']) t.is(store.ttl(key), Infinity, key)
  })

  contract('a wrong lifetime throws and changes nothing', (t, { store }) => {
    store.set('a', 1, 5000)
    for (const ttl of [0, -1, Number.NaN, -Infinity, '', '5', '0s', 'Infinity', null]) {
      t.throws(() => store.set('a', 2, ttl as Duration), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.set('a', 2, { ttl } as SetOptions), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.setMany([['a', 2]], { ttl } as SetOptions), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.touch('a', ttl as Duration), { code: 'ERR_INVALID_TTL' }, String(ttl))
      t.throws(() => store.incr('n', 1, { ttl: ttl as Duration }), { code: 'ERR_INVALID_TTL' }, String(ttl))
    }
    t.throws(() => store.set('a', 2, { expiresAt: Number.NaN }), { code: 'ERR_INVALID_TTL' })
    t.throws(() => store.set('a', 2, { ttl: 1, expiresAt: Date.now() + 1000 }), { code: 'ERR_INVALID_ARGUMENT' })
    holds(t, store, 'a', 1)
    t.is(store.ttl('a'), 5000)
    absent(t, store, 'n')
  })
}
