/**
 * Loads of one process: who waits for what, what is kept for how long, and what each option changes.
 *
 * One after the other: leases are short here, and a test that keeps the event loop busy would end another's.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import ava from 'ava'
import { CacheError, segments } from '../index.ts'
import type { CacheMessage, LoadContext, LoadOptions } from '../index.ts'
import { advance, problems } from '../lib/testing.ts'
import type { Loaded } from './children/loader.ts'
import { eventually, within } from './helpers/eventually.ts'
import { gate } from './helpers/gate.ts'
import { openCache, openStopped, segmentName } from './helpers/segment.ts'
import { startThread } from './helpers/thread.ts'

const test = ava.serial

// ---- one load

test('a value that is there is returned without a load', async (t) => {
  const cache = openCache(t)
  cache.set('a', { x: 1 })
  t.deepEqual(await cache.getOrSet('a', () => t.fail() as unknown), { x: 1 })
  for (const value of [null, 0, '', false]) {
    cache.set('b', value)
    t.is(await cache.getOrSet('b', () => t.fail() as unknown), value)
  }
})

test('a missing value is loaded once for all who ask meanwhile, and stored', async (t) => {
  const cache = openCache(t)
  const loaded = gate<{ x: number }>()
  let loads = 0
  const load = (): Promise<{ x: number }> => {
    loads++
    return loaded.promise
  }
  const calls = Array.from({ length: 100 }, () => cache.getOrSet('a', load, { ttl: '1h' }))
  calls.push(cache.getOrSet(Buffer.from('a'), load))
  loaded.open({ x: 1 })
  const values = await Promise.all(calls)
  t.is(loads, 1)
  for (const value of values) t.deepEqual(value, { x: 1 })
  t.is(new Set(values).size, values.length, 'nobody shares an object with another')
  t.deepEqual(cache.get('a'), { x: 1 })
  t.true((cache.ttl('a') ?? 0) > 3_500_000)
  t.deepEqual(problems(cache), [])
})

test('values of every kind come to all callers', async (t) => {
  const cache = openCache(t)
  const values = [
    'text',
    'x\uFFFDy',
    5,
    -0,
    null,
    true,
    10n,
    2n ** 90n,
    [1],
    new Date(5),
    new Map([[1, 2]]),
    Buffer.from('x'),
  ]
  for (const [index, value] of values.entries()) {
    const calls = [0, 1].map(() => cache.getOrSet(`k${index}`, async () => value))
    for (const found of [...(await Promise.all(calls)), cache.get(`k${index}`)]) t.deepEqual(found, value)
  }
  t.is(await cache.getOrSet('x\uFFFD', () => 1), 1)
  t.is(cache.get('x\uFFFD'), 1)
  const large = Buffer.alloc(300_000, 'abc')
  t.deepEqual(await cache.getOrSet('large', () => large), large)
  t.deepEqual(await cache.getOrSet('large', () => t.fail() as unknown), large)
})

test('a loader may be synchronous, and may use the cache', async (t) => {
  const cache = openCache(t)
  const value = await cache.getOrSet('a', async () => {
    cache.set('b', [1, 2])
    return { inner: await cache.getOrSet('c', () => 'of c') }
  })
  t.deepEqual(value, { inner: 'of c' })
  t.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [{ inner: 'of c' }, [1, 2], 'of c'])
})

test('two handles of one process, and its threads, share a load', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const thread = startThread(t, 'loader', { name })
  t.is(await thread.next(), 'ready')
  const loaded = gate<string>()
  const first = cache.getOrSet('a', () => loaded.promise)
  const second = other.getOrSet('a', () => t.fail() as unknown)
  thread.worker.postMessage({ key: 'a', value: 'of the thread', calls: 5 })
  await turn()
  loaded.open('once')
  t.is(await within('the first', first), 'once')
  t.is(await within('the second', second), 'once')
  const { values, loads } = await thread.next<Loaded>()
  t.deepEqual({ values, loads }, { values: Array(5).fill('once'), loads: 0 })
})

test('a namespace has loads of its own', async (t) => {
  const cache = openCache(t)
  const loaded = gate<number>()
  const first = cache.getOrSet('a', () => loaded.promise)
  t.is(await cache.namespace('n').getOrSet('a', () => 2), 2)
  loaded.open(1)
  t.is(await first, 1)
})

// ---- errors

test('an error of the loader rejects all who wait, and the next call loads again', async (t) => {
  const cache = openCache(t)
  const error = new RangeError('no')
  for (const load of [() => Promise.reject(error), () => raise(error)]) {
    const calls = [0, 1, 2].map(() => cache.getOrSet('a', load))
    for (const call of calls) await t.throwsAsync(call, { is: error })
  }
  t.is(await cache.getOrSet('a', () => 1), 1)
})

test('two handles: the error comes out of the other as it was', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  class Refusal extends Error {
    override readonly name = 'Refusal'
    readonly status = 503
    readonly when = new Date(7)
    readonly stream = () => 1
  }
  const cause = new TypeError('deep', { cause: 'deeper' })
  const thrown: [unknown, (received: never) => void][] = [
    [
      new Refusal('not now', { cause }),
      (received: Error & { status: number; when: Date; cause: Error }) => {
        t.true(received instanceof Error)
        t.is(received.name, 'Refusal')
        t.is(received.message, 'not now')
        t.is(received.status, 503)
        t.deepEqual(received.when, new Date(7))
        t.regex(received.stack ?? '', /get-or-set\.spec/)
        t.true(received.cause instanceof TypeError)
        t.is(received.cause.cause, 'deeper')
      },
    ],
    [
      new CacheError('ERR_TIMEOUT', 'late', { hint: 'hurry' }),
      (received: CacheError) => {
        t.true(received instanceof CacheError)
        t.deepEqual([received.code, received.hint, received.message], ['ERR_TIMEOUT', 'hurry', 'late'])
        t.false(Object.hasOwn(received, 'name'))
      },
    ],
    [
      Object.assign(new Error('x'.repeat(20_000)), { code: 'ECONNREFUSED', huge: 'y'.repeat(20_000) }),
      (received: Error & { code: string }) => {
        t.is(received.code, 'ECONNREFUSED')
        t.regex(received.message, /^x{1000}$/)
      },
    ],
    [
      new AggregateError([new SyntaxError('one'), 2], 'both'),
      (received: AggregateError) => {
        t.true(received.errors[0] instanceof SyntaxError)
        t.is(received.errors[1], 2)
      },
    ],
    ['a text', (received: string) => t.is(received, 'a text')],
    [{ not: 'an error' }, (received: object) => t.deepEqual(received, { not: 'an error' })],
    [undefined, (received: undefined) => t.is(received, undefined)],
  ]
  for (const [error, check] of thrown) {
    const failed = gate<string>()
    const first = cache.getOrSet('a', () => failed.promise)
    const second = other.getOrSet('a', () => t.fail() as unknown)
    failed.fail(error)
    t.is(
      await within(
        'the first',
        first.catch((own: unknown) => own),
      ),
      error,
    )
    check(
      (await within(
        'the second',
        second.catch((own: unknown) => own),
      )) as never,
    )
  }
  // A cycle, a getter that throws: something is told.
  const strange: Error & { cause?: unknown } = new Error('strange')
  strange.cause = strange
  Object.defineProperty(strange, 'bad', { enumerable: true, get: () => raise(new Error('inner')) })
  const failed = gate<string>()
  const first = cache.getOrSet('a', () => failed.promise)
  const second = other.getOrSet('a', () => t.fail() as unknown)
  failed.fail(strange)
  await t.throwsAsync(first, { is: strange })
  await t.throwsAsync(within('the second', second), { message: 'strange' })
})

test('what cannot be stored rejects as with set, and is not a load', async (t) => {
  const cache = openCache(t, { maxEntrySize: '64kb' })
  await t.throwsAsync(
    cache.getOrSet('a', () => ({ f: () => 1 })),
    { code: 'ERR_UNSERIALIZABLE' },
  )
  await t.throwsAsync(
    cache.getOrSet('a', () => Buffer.alloc(100_000)),
    { code: 'ERR_VALUE_TOO_LARGE' },
  )
  await t.throwsAsync(
    cache.getOrSet('a', () => 1, { ttl: () => Number.NaN }),
    { code: 'ERR_INVALID_TTL' },
  )
  await t.throwsAsync(
    cache.getOrSet('a', () => 1, { tags: () => [''] }),
    { code: 'ERR_INVALID_ARGUMENT' },
  )
  const error = new Error('mine')
  await t.throwsAsync(
    cache.getOrSet('a', () => 1, { ttl: () => raise(error) }),
    { is: error },
  )
  t.is(await cache.getOrSet('a', () => 1), 1)
})

test('wrong arguments reject at once, also where the value is there', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const wrong: [code: string, options: unknown][] = [
    ['ERR_INVALID_TTL', { ttl: 0 }],
    ['ERR_INVALID_TTL', { ttl: 'soon' }],
    ['ERR_INVALID_TTL', { negativeTtl: -1 }],
    ['ERR_INVALID_ARGUMENT', { stale: -1 }],
    ['ERR_INVALID_ARGUMENT', { staleIfError: 'x' }],
    ['ERR_INVALID_ARGUMENT', { refreshAhead: -0.5 }],
    ['ERR_INVALID_ARGUMENT', { timeout: Number.NaN }],
    ['ERR_INVALID_ARGUMENT', { hardTimeout: null }],
    ['ERR_INVALID_ARGUMENT', { jitter: 1.5 }],
    ['ERR_INVALID_ARGUMENT', { jitter: 'x' }],
    ['ERR_INVALID_ARGUMENT', { force: 1 }],
    ['ERR_INVALID_ARGUMENT', { signal: {} }],
    ['ERR_INVALID_ARGUMENT', { lease: 0 }],
    ['ERR_INVALID_ARGUMENT', { tags: 'x' }],
    ['ERR_INVALID_ARGUMENT', 5],
    ['ERR_INVALID_ARGUMENT', null],
  ]
  for (const [code, options] of wrong) {
    const load = (): unknown => t.fail() as unknown
    await t.throwsAsync(cache.getOrSet('a', load, options as LoadOptions), { instanceOf: CacheError, code })
  }
  await t.throwsAsync(cache.getOrSet('a', 5 as never), { code: 'ERR_INVALID_ARGUMENT' })
  await t.throwsAsync(
    cache.getOrSet('', () => 1),
    { code: 'ERR_INVALID_ARGUMENT' },
  )
  await t.throwsAsync(
    cache.getOrSet('\uD800', () => 1),
    { code: 'ERR_INVALID_ARGUMENT' },
  )
  await t.throwsAsync(
    cache.getOrSet('x'.repeat(9000), () => 1),
    { code: 'ERR_KEY_TOO_LONG' },
  )
  await t.throwsAsync(
    cache.getOrSet(5 as never, () => 1),
    { code: 'ERR_INVALID_ARGUMENT' },
  )
})

// ---- lifetimes

test('ttl: a lifetime, or a function of the value; 0 and less are not kept', async (t) => {
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

test('what is not kept still comes to those who wait for it, over handles', async (t) => {
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

test('tags: a list, or a function of the value', async (t) => {
  const cache = openCache(t)
  await cache.getOrSet('a', () => 'red', { tags: ['x'] })
  await cache.getOrSet('b', () => 'red', { tags: (colour) => [colour] })
  cache.invalidateTags('x')
  t.deepEqual([cache.has('a'), cache.has('b')], [false, true])
  cache.invalidateTags('red')
  t.false(cache.has('b'))
})

test('negativeTtl: that there is no value is remembered, and is a miss to all others', async (t) => {
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

// ---- stale values

test('stale: the old value comes at once, while one call reloads', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, stale: 5000 }
  t.is(await cache.getOrSet('a', () => 'old', options), 'old')
  advance(cache, 1000)
  t.false(cache.has('a'))
  const loaded = gate<string>()
  let loads = 0
  const load = (): Promise<string> => {
    loads++
    return loaded.promise
  }
  for (let i = 0; i < 10; i++) t.is(await cache.getOrSet('a', load, options), 'old')
  t.is(loads, 1)
  loaded.open('new')
  await eventually('the reload is kept', () => cache.get('a') === 'new')
  t.is(await cache.getOrSet('a', load, options), 'new')
  advance(cache, 6000)
  t.is(await cache.getOrSet('a', () => 'newest', options), 'newest', 'too old to be served')
})

test('stale is what the caller accepts, not only what was stored', async (t) => {
  const cache = openStopped(t)
  await cache.getOrSet('a', () => 'old', { ttl: 1000, stale: 5000 })
  advance(cache, 3000)
  t.is(await cache.getOrSet('a', () => 'other', { stale: 2000 }), 'old')
  await eventually('the reload', () => cache.get('a') === 'other')
  await cache.getOrSet('b', () => 'old', { ttl: 1000, stale: 5000 })
  advance(cache, 3001)
  t.is(await cache.getOrSet('b', () => 'other', { stale: 2000 }), 'other')
})

test('a value that a tag outdated is stale', async (t) => {
  const cache = openCache(t)
  await cache.getOrSet('a', () => 'old', { ttl: '1h', stale: '1h', tags: ['x'] })
  cache.invalidateTags('x', { mode: 'stale' })
  t.is(await cache.getOrSet('a', () => 'new', { stale: '1h' }), 'old')
  await eventually('the reload', () => cache.get('a') === 'new')
})

test('a reload in the background that fails leaves the old value, rests, and is told to whoever subscribes', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, stale: 60_000 }
  await cache.getOrSet('a', () => 'old', options)
  advance(cache, 1000)
  const messages: CacheMessage[] = []
  const note = (message: unknown): void => {
    if ((message as CacheMessage).name === cache.name) messages.push(message as CacheMessage)
  }
  subscribe('cache-machine:load', note)
  t.teardown(() => unsubscribe('cache-machine:load', note))
  let loads = 0
  const error = new Error('no')
  const load = (): Promise<string> => {
    loads++
    return Promise.reject(error)
  }
  for (let i = 0; i < 5; i++) {
    t.is(await cache.getOrSet('a', load, options), 'old')
    await turn()
  }
  t.is(loads, 1)
  t.deepEqual(messages, [{ name: cache.name, namespace: '', key: 'a', done: false, error }])
  advance(cache, 1000)
  t.is(await cache.getOrSet('a', load, options), 'old')
  t.is(loads, 2)
})

test('staleIfError: the old value comes where the load fails, and only then', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, staleIfError: 5000 }
  await cache.getOrSet('a', () => 'old', options)
  advance(cache, 1000)
  t.is(await cache.getOrSet<unknown>('a', () => Promise.reject(new Error('no')), options), 'old')
  await t.throwsAsync(
    cache.getOrSet('a', () => Promise.reject(new Error('no'))),
    { message: 'no' },
    'a caller who does not want it',
  )
  t.is(await cache.getOrSet('a', () => 'new', options), 'new')
  advance(cache, 6001)
  await t.throwsAsync(
    cache.getOrSet('a', () => Promise.reject(new Error('no')), options),
    { message: 'no' },
  )
})

test('refreshAhead: one of those who read reloads in the background before the deadline', async (t) => {
  const cache = openStopped(t)
  for (const refreshAhead of [0.2, 2000, '2s'] as const) {
    cache.clear()
    const options = { ttl: 10_000, refreshAhead }
    await cache.getOrSet('a', () => 'old', options)
    advance(cache, 7999)
    t.is(await cache.getOrSet('a', () => t.fail() as unknown, options), 'old')
    advance(cache, 1)
    const loaded = gate<string>()
    let loads = 0
    const load = (): Promise<string> => {
      loads++
      return loaded.promise
    }
    for (let i = 0; i < 5; i++) t.is(await cache.getOrSet('a', load, options), 'old')
    loaded.open('new')
    await eventually('the reload', () => cache.get('a') === 'new')
    t.is(loads, 1)
    t.is(cache.ttl('a'), 10_000)
    t.is(await cache.getOrSet('a', load, options), 'new')
    t.is(loads, 1)
  }
})

test('timeout: after it a stale value is served, and the late result is kept', async (t) => {
  const cache = openCache(t)
  const options = { ttl: 1, stale: '1h', timeout: 20 } as const
  await cache.getOrSet('a', () => 'old', options)
  await eventually('it is stale', () => !cache.has('a'))
  const loaded = gate<string>()
  const start = performance.now()
  t.is(await cache.getOrSet('a', () => loaded.promise, options), 'old')
  t.true(performance.now() - start >= 19)
  loaded.open('new')
  await eventually('the late result', () => cache.getEntry('a', { allowStale: true })?.value === 'new')
  await eventually('it is stale', () => !cache.has('a'))
  t.is(await cache.getOrSet('a', () => 'newer', options), 'newer', 'one that is quick enough')
  // Where there is nothing stale it says nothing.
  t.is(await cache.getOrSet('b', () => delay(60, 'slow'), options), 'slow')
})

test('timeout with staleIfError alone serves within that', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, staleIfError: 5000, timeout: 10 }
  await cache.getOrSet('a', () => 'old', options)
  advance(cache, 1000)
  const loaded = gate<string>()
  t.is(await cache.getOrSet('a', () => loaded.promise, options), 'old')
  loaded.open('new')
})

test('hardTimeout rejects with ERR_TIMEOUT, or serves within staleIfError; the late result is kept', async (t) => {
  const cache = openCache(t)
  const loaded = gate<string>()
  let signal: AbortSignal | undefined
  const load = (context: LoadContext): Promise<string> => {
    signal = context.signal
    return loaded.promise
  }
  await t.throwsAsync(cache.getOrSet('a', load, { hardTimeout: 10 }), { instanceOf: CacheError, code: 'ERR_TIMEOUT' })
  const patient = cache.getOrSet('a', () => t.fail() as unknown)
  t.false(signal?.aborted)
  loaded.open('late')
  t.is(await patient, 'late')
  t.is(cache.get('a'), 'late')

  const options = { ttl: 1, staleIfError: '1h', hardTimeout: 10 } as const
  await cache.getOrSet('b', () => 'old', options)
  await eventually('it is stale', () => !cache.has('b'))
  t.is(await cache.getOrSet('b', () => new Promise<string>(() => undefined), options), 'old')
})

test('notModified keeps the value before, with a new lifetime', async (t) => {
  const cache = openStopped<{ etag: string }>(t)
  const options = { ttl: 1000, staleIfError: 5000 }
  await cache.getOrSet('a', () => ({ etag: 'x' }), options)
  advance(cache, 1500)
  const seen: unknown[] = []
  const load = ({ stale, notModified }: LoadContext<{ etag: string }>): never => {
    seen.push(stale)
    return notModified()
  }
  const calls = [0, 1].map(() => cache.getOrSet('a', load, options))
  t.deepEqual(await Promise.all(calls), [{ etag: 'x' }, { etag: 'x' }])
  t.deepEqual(seen, [{ etag: 'x' }])
  t.is(cache.ttl('a'), 1000)
  t.deepEqual(cache.get('a'), { etag: 'x' })
  await t.throwsAsync(cache.getOrSet('none', load), { code: 'ERR_INVALID_ARGUMENT' })
  t.deepEqual(seen, [{ etag: 'x' }, undefined])
})

test('force loads although there is a value, and gets what is being loaded', async (t) => {
  const cache = openCache(t)
  cache.set('a', 'old')
  const loaded = gate<string>()
  let stale: string | undefined
  const first = cache.getOrSet(
    'a',
    (context) => {
      stale = context.stale as string
      return loaded.promise
    },
    { force: true },
  )
  const second = cache.getOrSet('a', () => t.fail() as unknown, { force: true })
  t.is(await cache.getOrSet('a', () => t.fail() as unknown), 'old')
  loaded.open('new')
  t.deepEqual([await first, await second, stale], ['new', 'new', 'old'])
  t.is(cache.get('a'), 'new')
})

test('force over handles waits for the newer value, and loads where the load before it came to nothing', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  cache.set('a', 'old')
  const loaded = gate<string>()
  const first = cache.getOrSet('a', () => loaded.promise, { force: true })
  const second = other.getOrSet('a', () => t.fail() as unknown, { force: true })
  loaded.open('new')
  t.deepEqual([await first, await within('the second', second)], ['new', 'new'])

  const controller = new AbortController()
  const aborted = cache.getOrSet('a', () => new Promise<string>(() => undefined), {
    force: true,
    signal: controller.signal,
  })
  const next = other.getOrSet('a', () => 'of the other', { force: true })
  await turn()
  const reason = new Error('enough')
  controller.abort(reason)
  await t.throwsAsync(aborted, { is: reason })
  t.is(await within('the next', next), 'of the other')
})

// ---- aborts, leases, the end

test('signal ends the wait of its call; the load goes on for the others', async (t) => {
  const cache = openCache(t)
  const loaded = gate<string>()
  const reason = new RangeError('changed my mind')
  let signal: AbortSignal | undefined
  const controller = new AbortController()
  const load = (context: LoadContext): Promise<string> => {
    signal = context.signal
    return loaded.promise
  }
  const first = cache.getOrSet('a', load, { signal: controller.signal })
  const second = cache.getOrSet('a', load)
  controller.abort(reason)
  await t.throwsAsync(first, { is: reason })
  t.false(signal?.aborted)
  loaded.open('v')
  t.is(await second, 'v')
  await t.throwsAsync(cache.getOrSet('a', load, { signal: controller.signal }), { is: reason }, 'aborted before')
})

test('when all are aborted the load is given up, and who comes later loads anew', async (t) => {
  const cache = openCache(t)
  const late = gate<string>()
  let signal: AbortSignal | undefined
  const controller = new AbortController()
  const calls = [0, 1].map(() =>
    cache.getOrSet(
      'a',
      (context) => {
        signal = context.signal
        return late.promise
      },
      { signal: controller.signal },
    ),
  )
  const reason = new Error('enough')
  controller.abort(reason)
  for (const call of calls) await t.throwsAsync(call, { is: reason })
  t.true(signal?.aborted)
  const next = cache.getOrSet('a', () => 'anew')
  late.open('late')
  t.is(await next, 'anew')
  t.is(cache.get('a'), 'anew')
})

test('a loader that never settles loses its flight after its lease, and nobody hangs', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  let signal: AbortSignal | undefined
  const late = gate<string>()
  const stuck = (context: LoadContext): Promise<string> => {
    signal = context.signal
    return late.promise
  }
  const calls = [0, 1].map(() => cache.getOrSet('a', stuck, { lease: 100 }))
  const next = other.getOrSet('a', () => 'of the other')
  for (const call of calls) {
    await t.throwsAsync(within('the lease', call), { instanceOf: CacheError, code: 'ERR_TIMEOUT' })
  }
  t.is((signal?.reason as CacheError).code, 'ERR_TIMEOUT')
  t.is(await within('the next', next), 'of the other')
  late.open('late')
  await turn()
  t.is(cache.get('a'), 'of the other', 'the late one stores nothing')
})

test('a result that is later than the lease is kept if nobody took over', async (t) => {
  const cache = openCache(t)
  const late = gate<string>()
  await t.throwsAsync(
    cache.getOrSet('a', () => late.promise, { lease: 20 }),
    { code: 'ERR_TIMEOUT' },
  )
  late.open('late')
  await eventually('the late result', () => cache.get('a') === 'late')
})

test('a loader that asks for its own key gets ERR_TIMEOUT after the lease', async (t) => {
  const cache = openCache(t)
  const load = (): Promise<unknown> => cache.getOrSet('a', () => 1)
  await t.throwsAsync(within('the lease', cache.getOrSet('a', load, { lease: 50 })), { code: 'ERR_TIMEOUT' })
})

test('close rejects all who wait, and another handle takes over at once', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  let signal: AbortSignal | undefined
  const late = gate<string>()
  const first = cache.getOrSet('a', (context) => {
    signal = context.signal
    return late.promise
  })
  const second = other.getOrSet('a', () => 'of the other')
  const third = other.namespace('n').getOrSet('a', () => 'in a namespace')
  await turn()
  cache.close()
  await t.throwsAsync(first, { instanceOf: CacheError, code: 'ERR_CLOSED' })
  t.true(signal?.aborted)
  t.is(await within('the second', second), 'of the other')
  t.is(await third, 'in a namespace')
  late.open('late')
  await turn()
  t.is(other.get('a'), 'of the other')
  await t.throwsAsync(
    cache.getOrSet('a', () => 1),
    { code: 'ERR_CLOSED' },
  )
  await t.throwsAsync(
    cache.once('a', () => 1),
    { code: 'ERR_CLOSED' },
  )

  // Also one who only waits.
  const loaded = gate<number>()
  const loading = other.getOrSet('b', () => loaded.promise)
  const waiting = openCache(t, { name })
  const waits = waiting.getOrSet('b', () => 2)
  await turn()
  waiting.close()
  await t.throwsAsync(waits, { code: 'ERR_CLOSED' })
  loaded.open(1)
  t.is(await loading, 1)
})

test('the segment is destroyed during a load: the value comes to its callers, and others load anew', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const loaded = gate<string>()
  const first = cache.getOrSet('a', () => loaded.promise)
  const second = other.getOrSet('a', () => 'in the new segment')
  await turn()
  segments.destroy(name, { force: true })
  t.is(await within('the second', second), 'in the new segment')
  loaded.open('of the old segment')
  t.is(await within('the first', first), 'of the old segment')
  t.is(cache.get('a'), 'in the new segment')
  t.is(await cache.getOrSet('b', () => 1), 1)
})

// ---- what happens to the key meanwhile

test('a value that was cleared, deleted or set during its load is handed out and not kept', async (t) => {
  const cache = openCache(t)
  const events: [string, () => unknown, string | undefined][] = [
    ['clear', () => cache.clear(), undefined],
    ['delete', () => cache.delete('a'), undefined],
    ['deletePrefix', () => cache.deletePrefix('a'), undefined],
    ['set', () => cache.set('a', 'set'), 'set'],
  ]
  for (const [what, event, left] of events) {
    const loaded = gate<string>()
    const call = cache.getOrSet('a', () => loaded.promise)
    event()
    loaded.open('loaded')
    t.is(await call, 'loaded', what)
    t.is(cache.get('a'), left, what)
    cache.delete('a')
  }
})

test('who asks after a delete or a clear gets a load that began after it', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  for (const event of [() => other.delete('a'), () => other.clear(), () => cache.delete('a')]) {
    cache.set('a', 'old')
    const before = gate<string>()
    const first = cache.getOrSet('a', () => before.promise, { force: true })
    event()
    const second = cache.getOrSet('a', () => 'after')
    t.is(await second, 'after')
    before.open('before')
    t.is(await first, 'before')
    t.is(other.get('a'), 'after')
  }
})

test('a tag that is invalidated during a load ends what it brings', async (t) => {
  const cache = openCache(t)
  const loaded = gate<string>()
  const call = cache.getOrSet('a', () => loaded.promise, { tags: ['x'] })
  cache.invalidateTags('x')
  loaded.open('loaded')
  t.is(await call, 'loaded')
  t.is(cache.get('a'), undefined)
})

test('where there is no room the value is handed out and not kept', async (t) => {
  const cache = openCache(t, { eviction: 'none', size: '2mb', maxEntrySize: '100kb' })
  for (let i = 0; cache.set(`filler${i}`, Buffer.alloc(50_000)); i++);
  for (let i = 0; cache.set(`small${i}`, i); i++);
  t.is((await cache.getOrSet('a', () => Buffer.alloc(50_000))).length, 50_000)
  t.false(cache.has('a'))
})

test('context: key, token and signal', async (t) => {
  const cache = openCache(t)
  const tokens: number[] = []
  for (const key of ['a', 'x\uFFFD', Buffer.from([255, 1])]) {
    for (let i = 0; i < 2; i++) {
      await cache.getOrSet(
        key,
        (context) => {
          t.deepEqual(context.key, typeof key === 'string' ? key : Uint8Array.from(key))
          t.false(context.signal.aborted)
          tokens.push(context.token)
          return 1
        },
        { force: true },
      )
    }
  }
  for (const token of tokens) t.true(Number.isSafeInteger(token) && token > 0)
  t.true((tokens[1] as number) > (tokens[0] as number))
})

/** Loaders that return, fail, hang, or are aborted, with options of every kind: each call ends, and the structures add up. */
test('no caller ever hangs', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const caches = [0, 1, 2].map(() => openCache<number>(t, { name }))
  let seed = 12_345
  const random = (limit: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
    return Math.floor((seed / 2 ** 31) * limit)
  }
  const outcomes = new Map<string, number>()
  const calls: Promise<void>[] = []
  for (let i = 0; i < 3000; i++) {
    const cache = caches[random(3)] as (typeof caches)[0]
    const key = `k${random(20)}`
    const kind = random(10)
    const load = async (): Promise<number> => {
      if (kind < 4) await delay(random(10))
      if (kind === 4) throw new Error('failed')
      if (kind === 5) await new Promise(() => undefined)
      return i
    }
    const options: LoadOptions<number> = {
      lease: 50,
      ttl: 1 + random(20),
      ...(random(3) === 0 && { stale: random(50) }),
      ...(random(3) === 0 && { staleIfError: random(50) }),
      ...(random(4) === 0 && { timeout: random(20) }),
      ...(random(4) === 0 && { hardTimeout: random(30) }),
      ...(random(4) === 0 && { force: true }),
      ...(random(4) === 0 && { signal: AbortSignal.timeout(random(30)) }),
      ...(random(4) === 0 && { refreshAhead: 0.5 }),
    }
    const call = cache.getOrSet(key, load, options).then(
      () => 'value',
      (error: Error & { code?: string }) => String(error.code ?? error.name),
    )
    calls.push(call.then((outcome) => void outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)))
    if (random(50) === 0) cache.clear()
    if (random(20) === 0) cache.delete(key)
    if (random(10) === 0) await delay(random(5))
  }
  await within('every call ends', Promise.all(calls), 50_000)
  t.log(Object.fromEntries(outcomes))
  t.is(
    [...outcomes.values()].reduce((a, b) => a + b),
    3000,
  )
  t.true((outcomes.get('value') ?? 0) > 1000)
  t.deepEqual(problems(caches[0] as object), [])
})

function raise(error: unknown): never {
  throw error
}
