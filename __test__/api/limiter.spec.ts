/**
 * Limiters: each algorithm, and what `consume`, `peek`, `penalty`, `reward` and `reset` answer.
 */
import test from 'ava'
import * as fc from 'fast-check'
import { CacheError } from '../../index.ts'
import type { LimitAlgorithm, LimiterOptions } from '../../index.ts'
import { advance, problems } from '../helpers/internals.ts'
import { modelOf } from '../helpers/limit-models.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

const ALGORITHMS: readonly LimitAlgorithm[] = ['sliding-window', 'gcra', 'fixed-window']

/** The first time of a manual clock. */
const START = 1_000_000

test('a limiter allows its limit and no more', (t) => {
  const cache = openStopped(t)
  for (const algorithm of ALGORITHMS) {
    const limiter = cache.limiter('api', { limit: 3, window: '1m', algorithm })
    const left = [2, 1, 0].map((remaining) => ({ allowed: true, limit: 3, remaining, retryAfter: 0 }))
    for (const expected of left) t.like(limiter.consume('ada'), expected)
    const refused = limiter.consume('ada')
    t.like(refused, { allowed: false, limit: 3, remaining: 0 })
    t.true(refused.retryAfter > 0 && refused.retryAfter <= refused.resetAfter && refused.resetAfter <= 63_750)
    t.true(limiter.consume('bob').allowed, 'keys share no tokens')
  }
})

test('the default is a sliding window', (t) => {
  const cache = openCache(t)
  const limiter = cache.limiter('api', { limit: 5, window: '1.5s' })
  t.like(limiter, { name: 'api', limit: 5, window: 1500, algorithm: 'sliding-window' })
  t.is(cache.limiter('api', { limit: 5, window: 0.2 }).window, 1, 'a window is whole milliseconds')
})

test('a refused consume takes nothing, and peek takes nothing', (t) => {
  const cache = openStopped(t)
  for (const algorithm of ALGORITHMS) {
    const limiter = cache.limiter('api', { limit: 5, window: '1m', algorithm })
    limiter.consume('a', 3)
    t.like(limiter.consume('a', 3), { allowed: false, remaining: 2 })
    for (let i = 0; i < 3; i++) t.like(limiter.peek('a', 2), { allowed: true, remaining: 2, retryAfter: 0 })
    t.like(limiter.peek('a', 3), { allowed: false, remaining: 2 })
    t.true(limiter.consume('a', 2).allowed)
  }
})

test('a cost of 0 is always allowed, and a cost above the limit never', (t) => {
  const cache = openStopped(t)
  for (const algorithm of ALGORITHMS) {
    const limiter = cache.limiter('api', { limit: 2, window: '1m', algorithm })
    t.deepEqual(limiter.consume('a', 0), { allowed: true, limit: 2, remaining: 2, retryAfter: 0, resetAfter: 0 })
    t.like(limiter.consume('a', 3), { allowed: false, remaining: 2, retryAfter: Infinity, resetAfter: 0 })
    limiter.penalty('a', 10)
    t.like(limiter.consume('a', 0), { allowed: true, remaining: 0 })
    t.true(limiter.reset('a'))
    t.false(limiter.reset('a'))
    t.is(limiter.peek('a').remaining, 2)
  }
})

test('each algorithm returns tokens in its own way', (t) => {
  const cache = openStopped(t)
  const remaining: Record<string, number[]> = {}
  for (const algorithm of ALGORITHMS) {
    const limiter = cache.limiter('api', { limit: 4, window: 1600, algorithm })
    limiter.consume('a', 2)
    advance(cache, 800)
    limiter.consume('a', 2)
    const seen = [0, 399, 1, 400, 99, 1, 700, 99, 1].map((step) => {
      advance(cache, step)
      return limiter.peek('a').remaining
    })
    remaining[algorithm] = seen
    advance(cache, 10_000)
  }
  t.deepEqual(remaining, {
    //                800        1200      1600, 1699, 1700, 2400, 2499, 2500
    'sliding-window': [0, 0, 0, 0, 0, 2, 2, 2, 4],
    gcra: [2, 2, 3, 4, 4, 4, 4, 4, 4],
    'fixed-window': [0, 0, 0, 4, 4, 4, 4, 4, 4],
  })
})

for (const algorithm of ALGORITHMS) {
  test(`${algorithm} answers as its model does, for any calls at any time`, (t) => {
    const cache = openStopped(t, { size: '4mb' })
    let now = START
    let keys = 0
    const cost = fc.nat(12)
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ what: fc.constant('consume' as const), amount: cost }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constantFrom('peek', 'penalty', 'reward'), amount: cost }) },
      { weight: 5, arbitrary: fc.record({ what: fc.constant('advance' as const), amount: fc.nat(600) }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constant('reset' as const), amount: fc.constant(0) }) },
    )
    const limits = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constantFrom(1000, Number.MAX_SAFE_INTEGER))
    const windows = fc.oneof(fc.integer({ min: 1, max: 900 }), fc.constantFrom(60_000, 100 * 365 * 86_400_000))
    fc.assert(
      fc.property(limits, windows, fc.array(step, { maxLength: 60 }), (limit, window, steps) => {
        const limiter = cache.limiter('model', { limit, window, algorithm })
        const model = modelOf(algorithm, limit, window)
        const key = `key${++keys}`
        for (const { what, amount } of steps) {
          if (what === 'advance') {
            advance(cache, amount)
            now += amount
          } else if (what === 'reset') {
            limiter.reset(key)
            model.reset()
          } else t.deepEqual(limiter[what](key, amount), model[what](now, amount))
        }
      }),
      { numRuns: 150 },
    )
    t.deepEqual(problems(cache), [])
  })
}

test('penalty takes tokens that do not exist, and reward returns at most the tokens that were taken', (t) => {
  const cache = openStopped(t)
  for (const algorithm of ALGORITHMS) {
    const limiter = cache.limiter('login', { limit: 5, window: '1m', algorithm })
    t.like(limiter.penalty('a', 7), { allowed: false, remaining: 0 })
    t.false(limiter.consume('a').allowed)
    t.like(limiter.reward('a', 2), { allowed: false, remaining: 0 })
    t.like(limiter.reward('a', 1), { allowed: true, remaining: 1, retryAfter: 0 })
    t.like(limiter.reward('a', 100), { allowed: true, remaining: 5, resetAfter: 0 })
    t.like(limiter.reward('b'), { allowed: true, remaining: 5 })
  }
})

test('limiters of one name, window and algorithm are one limiter, even with different limits', (t) => {
  const cache = openCache(t)
  const options = { limit: 10, window: '1m' } as const
  const [one, same] = [cache.limiter('api', options), cache.limiter('api', { limit: 4, window: 60_000 })]
  one.consume('a', 3)
  t.is(same.peek('a').remaining, 1)
  for (const other of [
    cache.limiter('other', options),
    cache.limiter('api', { ...options, window: '2m' }),
    cache.limiter('api', { ...options, algorithm: 'gcra' }),
    cache.namespace('own').limiter('api', options),
  ]) {
    t.is(other.peek('a').remaining, 10)
  }
})

test('keys are any text or bytes, and the name of a limiter ends where its key begins', (t) => {
  const cache = openCache(t)
  const limiter = cache.limiter('a', { limit: 2, window: '1m' })
  for (const key of ['ä', '日本', '🎈', '\uFFFD', '\0', 'x'.repeat(8000), Buffer.from([0xff, 0])]) {
    limiter.consume(key)
    t.is(limiter.peek(key).remaining, 1, String(key).slice(0, 10))
  }
  limiter.consume(Buffer.from('ä'))
  t.is(limiter.peek('ä').remaining, 0, 'a string and its bytes are the same key')
  t.is(cache.limiter('a\uFFFD', { limit: 2, window: '1m' }).consume('b').remaining, 1)
  t.is(cache.limiter('a\uFFFD', { limit: 2, window: '1m' }).consume('b').remaining, 0)
})

test('limiters are no entries', (t) => {
  const cache = openCache(t)
  const limiter = cache.limiter('api', { limit: 1, window: '1m' })
  limiter.consume('a')
  t.is(cache.size, 0)
  t.deepEqual([...cache.keys()], [])
  cache.clear()
  t.false(limiter.consume('a').allowed)
})

test('a flood of entries evicts the states of idle keys, which is counted', (t) => {
  const cache = openCache(t, { size: '4mb' })
  const limiter = cache.limiter('api', { limit: 1_000_000, window: '1d' })
  for (let i = 0; i < 200; i++) limiter.consume(`idle${i}`)
  let used = 0
  for (let i = 0; i < 60_000; i++) {
    cache.set(`key${i}`, 'x'.repeat(100))
    if (i % 20 === 0) t.is(limiter.consume('busy').remaining, 1_000_000 - ++used)
  }
  t.true(cache.stats().limitsEvicted > 0)
  t.is(limiter.peek('idle0').remaining, 1_000_000)
})

test('wrong arguments throw, and take nothing', (t) => {
  const cache = openCache(t)
  const invalid = { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' }
  const right = { limit: 5, window: '1m' }
  const wrong: unknown[] = [
    undefined,
    null,
    {},
    ...[0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, '5', 5n].map((limit) => ({ ...right, limit })),
    ...[0, -1, Number.NaN, Infinity, '5', '0s', null, 1e15].map((window) => ({ ...right, window })),
    ...['', 'token-bucket', null, 'toString', ['gcra'], Object.create(null)].map((algorithm) => ({
      ...right,
      algorithm,
    })),
  ]
  for (const options of wrong) t.throws(() => cache.limiter('api', options as LimiterOptions), invalid)
  for (const name of ['', 'a\0b', 'x'.repeat(129), '\uD800', 5, undefined]) {
    const text = /must be text of 1 to 128 characters, without NUL or lone surrogates/
    t.throws(() => cache.limiter(name as string, { limit: 5, window: '1m' }), { ...invalid, message: text })
  }
  const limiter = cache.limiter('api', { limit: 5, window: '1m' })
  for (const cost of [-1, 0.5, Number.NaN, Infinity, 2 ** 53, '1', null, 1n]) {
    for (const method of ['consume', 'peek', 'penalty', 'reward'] as const) {
      t.throws(() => limiter[method]('a', cost as number), invalid)
    }
  }
  for (const key of ['', '\uD800', 5, null, undefined, {}, new Uint8Array()]) {
    t.throws(() => limiter.consume(key as string), invalid)
  }
  t.throws(() => limiter.consume('x'.repeat(8193)), { instanceOf: CacheError, code: 'ERR_KEY_TOO_LONG' })
  t.is(limiter.peek('a').remaining, 5)
})

test('a closed cache has no limiters', (t) => {
  const cache = openCache(t)
  const limiter = cache.limiter('api', { limit: 5, window: '1m' })
  cache.close()
  t.throws(() => limiter.consume('a'), { instanceOf: CacheError, code: 'ERR_CLOSED' })
  t.throws(() => cache.limiter('api', { limit: 5, window: '1m' }), { code: 'ERR_CLOSED' })
})
