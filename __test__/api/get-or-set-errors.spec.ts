/**
 * `getOrSet`: errors of the loader, values that cannot be stored, wrong arguments.
 */
import { runInNewContext } from 'node:vm'
import ava from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError } from '../../index.ts'
import type { LoadOptions } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { gate } from '../helpers/gate.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

const test = ava.serial

test('an error of the loader rejects all waiting callers, and the next call loads again', async (t) => {
  const cache = openCache(t)
  const error = new RangeError('no')
  for (const load of [() => Promise.reject(error), () => raise(error)]) {
    const calls = [0, 1, 2].map(() => cache.getOrSet('a', load))
    for (const call of calls) await t.throwsAsync(call, { is: error })
  }
  t.is(await cache.getOrSet('a', () => 1), 1)
})

test('an error of the loader reaches the callers of another handle unchanged', async (t) => {
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
        t.regex(received.stack ?? '', /get-or-set-errors\.spec/)
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
  // An error with a cycle or with a getter that throws still reaches the waiters.
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

/** What a caller on another handle, as in another process, gets when the loader throws `thrown`. */
async function received(t: ExecutionContext, thrown: unknown): Promise<unknown> {
  const name = segmentName(t)
  const failed = gate<string>()
  const first = openCache(t, { name }).getOrSet('a', () => failed.promise)
  const second = openCache(t, { name }).getOrSet('a', () => t.fail() as unknown)
  failed.fail(thrown)
  // A promise would read `then` of what its handler returns.
  t.true(
    await (first as Promise<unknown>).then(
      () => false,
      (own: unknown) => own === thrown,
    ),
  )
  return within(
    'the second',
    second.catch((other: unknown) => other),
  )
}

test('a thrown value that cannot be stored reaches other callers as an Error with its fields', async (t) => {
  const found = await received(t, {
    status: 404,
    message: 'gone',
    code: 'E',
    list: [1],
    toResponse() {},
    own: { f() {} },
  })
  t.true(found instanceof Error)
  t.like(found as Error & Record<string, unknown>, {
    message: 'gone',
    name: 'Error',
    status: 404,
    code: 'E',
    list: [1],
  })
  t.deepEqual(Object.keys(found as object).toSorted(), ['code', 'list', 'status'])

  class Refusal {
    readonly reason = 'quota'
    readonly cause = new RangeError('deep')
    get status(): number {
      return 429
    }
  }
  const refusal = (await received(t, new Refusal())) as Error & Record<string, unknown>
  t.true(refusal instanceof Error)
  t.like(refusal, { name: 'Refusal', message: 'an instance of Refusal, 429', status: 429, reason: 'quota' })
  t.true(refusal.cause instanceof RangeError)

  const response = (await received(t, new Response('no', { status: 404, statusText: 'Not Found' }))) as Error
  t.true(response instanceof Error)
  t.like(response, { name: 'Response', status: 404, statusText: 'Not Found' })
  t.is(response.message, 'an instance of Response, 404 Not Found')

  for (const thrown of [() => 1, Symbol('s')]) {
    t.like((await received(t, thrown)) as Error, { name: 'Error', message: String(thrown) })
  }
})

test('an Error of another realm reaches other callers as an Error of this one, with its fields', async (t) => {
  const foreign = runInNewContext(`
    class Refusal extends TypeError { f() {} }
    Object.assign(new Refusal('foreign', { cause: new AggregateError([new RangeError('inner')], 'why') }), {
      status: 503, code: 'E', f() {},
    })
  `) as object
  t.false(foreign instanceof Error)
  const found = (await received(t, foreign)) as TypeError & { cause: AggregateError }
  t.true(found instanceof TypeError)
  t.like(found, { name: 'TypeError', message: 'foreign', status: 503, code: 'E' })
  t.true(found.cause instanceof AggregateError && found.cause.errors[0] instanceof RangeError)
})

test('an Error keeps each own field that can be kept, in a large one as well', async (t) => {
  const thrown = Object.assign(new Error('m'), {
    errors: [{ path: 'a', problem: 'missing' }],
    inner: Object.assign(new SyntaxError('inner'), { f() {} }),
    retry: () => 1,
  })
  Object.defineProperty(thrown, 'status', { value: 400 })
  const found = (await received(t, thrown)) as Error & { inner: Error }
  t.like(found, { errors: [{ path: 'a', problem: 'missing' }], status: 400 })
  t.true(found.inner instanceof SyntaxError)
  t.deepEqual(Object.keys(found).toSorted(), ['errors', 'inner'])

  const large = Object.assign(new Error('x'.repeat(20_000)), {
    first: 'y'.repeat(20_000),
    when: new Date(7),
    status: 502,
  })
  const rest = (await received(t, large)) as Error
  t.like(rest, { when: new Date(7), status: 502 })
  t.is(rest.message, 'x'.repeat(1000))
  t.is(await received(t, 'z'.repeat(20_000)), 'z'.repeat(1000))
})

test('a thrown value that refuses every read still reaches other callers', async (t) => {
  const refuse = (): never => raise(new Error('no'))
  const traps = { get: refuse, has: refuse, ownKeys: refuse, getPrototypeOf: refuse, getOwnPropertyDescriptor: refuse }
  const itself = new TypeError('x')
  Object.assign(itself, { name: itself })
  t.true((await received(t, new Proxy({}, traps))) instanceof Error)
  t.like((await received(t, itself)) as Error, { name: 'TypeError', message: 'x' })
})

test('a lifetime or tags that the options compute wrongly reject, and the next call loads again', async (t) => {
  const cache = openCache(t)
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

test('wrong arguments reject at once, also where a value is stored', async (t) => {
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
    ['ERR_INVALID_TTL', -5],
    ['ERR_INVALID_ARGUMENT', true],
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

function raise(error: unknown): never {
  throw error
}
