/**
 * Conditions of `set`, options that a store does not use, and `incr`.
 */
import { absent, holds } from './contract.ts'
import type { Contract } from './contract.ts'

export function conditionsAndCounters(contract: Contract): void {
  contract("if: 'absent' and 'present' decide by the existing entry", (t, { store, advance }) => {
    t.false(store.set('a', 1, { if: 'present' }))
    absent(t, store, 'a')
    t.true(store.set('a', 1, { if: 'absent', ttl: 1000 }))
    t.false(store.set('a', 2, { if: 'absent' }))
    holds(t, store, 'a', 1)
    t.true(store.set('a', 3, { if: 'present', ttl: 1000 }))
    holds(t, store, 'a', 3)
    advance(1000)
    t.false(store.set('a', 4, { if: 'present' }))
    t.true(store.set('a', 5, { if: 'absent' }))
    holds(t, store, 'a', 5)
  })

  contract('options that a store does not use are accepted', (t, { store }) => {
    t.true(store.set('a', 1, { tags: ['x', 'y'], stale: '5m', ttl: 1000 }))
    holds(t, store, 'a', 1)
    t.is(store.ttl('a'), 1000)
  })

  contract('incr counts from 0 or from init by any finite step', (t, { store }) => {
    t.is(store.incr('a'), 1)
    holds(t, store, 'a', 1)
    t.is(store.incr('a'), 2)
    holds(t, store, 'a', 2)
    t.is(store.incr('a', -3), -1)
    t.is(store.incr('a', 0.5), -0.5)
    holds(t, store, 'a', -0.5)
    t.is(store.incr('b', 1, { init: 100 }), 101)
    t.is(store.incr('b', 1, { init: 100 }), 102)
  })

  contract('incr applies a lifetime only to a new counter, and clamps', (t, { store, advance }) => {
    store.incr('a', 1, { ttl: 1000 })
    advance(400)
    store.incr('a', 1, { ttl: 1000 })
    t.is(store.ttl('a'), 600)
    t.is(store.incr('a', 100, { max: 50 }), 50)
    t.is(store.incr('a', -100, { min: 5 }), 5)
    advance(600)
    t.is(store.incr('a'), 1)
    t.is(store.ttl('a'), Infinity)
  })

  contract('incr refuses values that it cannot increment, and leaves them', (t, { store }) => {
    for (const value of ['5', null, true, 5n, { a: 1 }]) {
      store.set('a', value)
      t.throws(() => store.incr('a'), { code: 'ERR_NOT_A_NUMBER' })
      holds(t, store, 'a', value)
    }
    store.set('a', Number.MAX_SAFE_INTEGER)
    t.throws(() => store.incr('a'), { code: 'ERR_OVERFLOW' })
    holds(t, store, 'a', Number.MAX_SAFE_INTEGER)
    t.throws(() => store.incr('a', Number.NaN), { code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => store.incr('a', 1, { min: 2, max: 1 }), { code: 'ERR_INVALID_ARGUMENT' })
  })
}
