/**
 * `wrap` and `once`.
 */
import { setImmediate as turn } from 'node:timers/promises'
import ava from 'ava'
import { CacheError } from '../../index.ts'
import type { WrapOptions } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { gate } from '../helpers/gate.ts'
import { advance, problems } from '../helpers/internals.ts'
import { openCache, openStopped, segmentName } from '../helpers/segment.ts'

const test = ava.serial

test('wrap shares one run between calls with the same key, and runs once for each other key', async (t) => {
  const cache = openStopped(t)
  const seen: unknown[] = []
  const find = cache.wrap(
    async (id: number, kind = 'user') => {
      seen.push([id, kind])
      return { id, kind }
    },
    { key: (id, kind) => `${kind ?? 'user'}:${id}`, ttl: 1000 },
  )
  t.deepEqual(await Promise.all([find(1), find(1), find(2), find(1, 'group')]), [
    { id: 1, kind: 'user' },
    { id: 1, kind: 'user' },
    { id: 2, kind: 'user' },
    { id: 1, kind: 'group' },
  ])
  t.is(seen.length, 3)
  t.deepEqual(cache.get('user:1'), { id: 1, kind: 'user' })
  await find(1)
  t.is(seen.length, 3)
  advance(cache, 1000)
  await find(1)
  t.is(seen.length, 4)
})

test('wrap passes on this and all arguments, and rejects with the error of the function', async (t) => {
  const cache = openCache(t)
  class Users {
    readonly table = 'users'
    find = cache.wrap(
      function (this: Users, id: number, ...rest: string[]) {
        if (id < 0) throw new RangeError('no such user')
        return [this.table, id, ...rest].join(' ')
      },
      { key: (id) => `u${id}` },
    )
  }
  const users = new Users()
  t.is(await users.find(1, 'a', 'b'), 'users 1 a b')
  await t.throwsAsync(users.find(-1), { instanceOf: RangeError })
})

test('wrap throws at once for wrong options, and rejects for wrong keys', async (t) => {
  const cache = openCache(t)
  const wrong: [unknown, unknown][] = [
    [() => 1, undefined],
    [() => 1, {}],
    [() => 1, { key: 'a' }],
    [5, { key: () => 'a' }],
    [() => 1, { key: () => 'a', jitter: 2 }],
  ]
  for (const [fn, options] of wrong) {
    t.throws(() => cache.wrap(fn as () => number, options as WrapOptions<[], number>), {
      instanceOf: CacheError,
      code: 'ERR_INVALID_ARGUMENT',
    })
  }
  t.throws(() => cache.wrap(() => 1, { key: () => 'a', ttl: 0 }), { code: 'ERR_INVALID_TTL' })
  await t.throwsAsync(cache.wrap(() => 1, { key: () => '' })(), { code: 'ERR_INVALID_ARGUMENT' })
  const error = new Error('of the key')
  const bad = cache.wrap(() => 1, {
    key: () => {
      throw error
    },
  })
  await t.throwsAsync(bad(), { is: error })
  const closed = cache.wrap(() => 1, { key: () => 'a' })
  cache.close()
  await t.throwsAsync(closed(), { code: 'ERR_CLOSED' })
})

test('once runs once for all callers, now and later', async (t) => {
  const cache = openCache(t)
  let runs = 0
  const run = async (): Promise<{ at: Date; run: number }> => {
    await turn()
    return { at: new Date(5), run: ++runs }
  }
  const results = await Promise.all([0, 1, 2].map(() => cache.once('a', run)))
  for (const result of [...results, await cache.once('a', run)]) t.deepEqual(result, { at: new Date(5), run: 1 })
  t.not(results[0], results[1])
  t.is(runs, 1)
  t.is(await cache.once('b', () => undefined), undefined)
  t.is(await cache.once<unknown>('b', () => t.fail()), undefined, 'undefined is a result as well')
  t.is(await cache.namespace('n').once('a', () => 'its own'), 'its own')
  t.is(cache.get('a'), undefined)
  t.deepEqual([...cache.keys()], [])
})

test('once remembers its result through clear, delete and floods of entries, until its ttl', async (t) => {
  const cache = openStopped(t)
  await cache.once('a', () => 1)
  await cache.once('b', () => 1, { ttl: '1h' })
  cache.clear()
  cache.delete('a')
  cache.deletePrefix('a')
  for (let i = 0; i < 20_000; i++) cache.set(`filler${i}`, 'x'.repeat(500))
  t.is(await cache.once<unknown>('a', () => t.fail()), 1)
  advance(cache, 3_600_000)
  t.is(await cache.once('b', () => 2), 2)
  t.is(await cache.once<unknown>('a', () => t.fail()), 1)
  t.deepEqual(problems(cache), [])
})

test('once rejects all waiting calls of all handles when a run fails, and the failed run does not count', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const failed = gate<number>()
  const first = cache.once('a', () => failed.promise)
  const second = other.once<unknown>('a', () => t.fail())
  failed.fail(new RangeError('no'))
  await t.throwsAsync(first, { instanceOf: RangeError, message: 'no' })
  await t.throwsAsync(within('the second', second), { instanceOf: RangeError, message: 'no' })
  t.is(await other.once('a', () => 2), 2)
  t.is(await cache.once<unknown>('a', () => t.fail()), 2)
})

test('once rejects a result that cannot be stored, and that run does not count', async (t) => {
  const cache = openCache(t)
  await t.throwsAsync(
    cache.once('a', () => () => 1),
    { code: 'ERR_UNSERIALIZABLE' },
  )
  await t.throwsAsync(
    cache.once('a', () => Buffer.alloc(7_000_000)),
    { code: 'ERR_VALUE_TOO_LARGE' },
  )
  t.is(await cache.once('a', () => 1), 1)
})

test('an abort ends the wait of its own call of once', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const controller = new AbortController()
  const run = gate<string>()
  const first = cache.once('a', () => run.promise)
  const waits = other.once('a', () => 'of the other', { signal: controller.signal })
  const reason = new Error('enough')
  controller.abort(reason)
  await t.throwsAsync(waits, { is: reason })
  await t.throwsAsync(
    other.once('a', () => 1, { signal: controller.signal }),
    { is: reason },
  )
  run.open('done')
  t.is(await first, 'done')
})

test('once rejects wrong arguments', async (t) => {
  const cache = openCache(t)
  await t.throwsAsync(
    cache.once('', () => 1),
    { code: 'ERR_INVALID_ARGUMENT' },
  )
  await t.throwsAsync(cache.once('a', 1 as never), { code: 'ERR_INVALID_ARGUMENT' })
  await t.throwsAsync(
    cache.once('a', () => 1, { ttl: 0 }),
    { code: 'ERR_INVALID_TTL' },
  )
  await t.throwsAsync(
    cache.once('a', () => 1, { signal: 5 as never }),
    { code: 'ERR_INVALID_ARGUMENT' },
  )
  await t.throwsAsync(
    cache.once('a', () => 1, true as never),
    { code: 'ERR_INVALID_ARGUMENT' },
  )
})
