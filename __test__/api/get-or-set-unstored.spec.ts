/**
 * `getOrSet` with a loaded value that cannot be stored, or is too large: callers get values all the same.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { inspect } from 'node:util'
import ava from 'ava'
import type { UnstoredEvent } from '../../index.ts'
import { listen } from '../helpers/channel-messages.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { gate } from '../helpers/gate.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

const test = ava.serial

const LIMIT = '64kb'

class Session {
  readonly id = 7
}

const VALUES: [what: string, code: string, make: () => unknown][] = [
  ['an instance of a class', 'ERR_UNSERIALIZABLE', () => new Session()],
  ['a function inside', 'ERR_UNSERIALIZABLE', () => ({ f: () => 1 })],
  [
    'a Buffer with a property',
    'ERR_UNSERIALIZABLE',
    () => ({ b: Object.assign(Buffer.alloc(5), { contentType: 'text' }) }),
  ],
  ['a value that is too large', 'ERR_VALUE_TOO_LARGE', () => ({ bytes: Buffer.alloc(100_000) })],
  ['a text that is too large', 'ERR_VALUE_TOO_LARGE', () => 'x'.repeat(100_000)],
]

for (const strict of [false, true]) {
  for (const [what, , make] of VALUES) {
    test(`every caller in every thread gets a value, ${strict ? 'strict' : 'not strict'}: ${what}`, async (t) => {
      const name = segmentName(t)
      const cache = openCache(t, { name, maxEntrySize: LIMIT, strict })
      const other = openCache(t, { name, maxEntrySize: LIMIT, strict })
      const ready = gate()
      const loaded: unknown[] = []
      const load = async (): Promise<unknown> => {
        await ready.promise
        const value = make()
        loaded.push(value)
        return value
      }
      const calls = [cache, cache, cache, other, other].map((each) => each.getOrSet('a', load))
      ready.open()
      const values = await within('all calls', Promise.all(calls))
      t.is(values[0], loaded[0], 'the caller of the loader gets its own')
      for (const value of values) t.is(inspect(value), inspect(loaded[0]))
      if (typeof loaded[0] === 'object') t.is(new Set(values).size, 5, 'callers never share an object')
      t.true(loaded.length <= 5)
      t.false(cache.has('a'))
      t.is(await cache.getOrSet('a', () => 1), 1, 'the next call loads again, and its value is kept')
      t.is(cache.get('a'), 1)
      t.true(cache.stats().unstored >= 1)
      t.is(cache.stats().unstored + other.stats().unstored, loaded.length)
      t.is(cache.stats().degradedReads, 0)
    })
  }

  for (const [what, code, make] of VALUES) {
    test(`each load is counted and announced, ${strict ? 'strict' : 'not strict'}: ${what}`, async (t) => {
      const name = segmentName(t)
      const cache = openCache(t, { name, maxEntrySize: LIMIT, strict })
      const told = listen(t, name, 'unstored', 'load')
      const seen: UnstoredEvent[] = []
      cache.on('unstored', (event) => seen.push(event))
      const run = cache.wrap(make, { key: () => 'k' })
      for (let i = 1; i <= 2; i++) {
        t.is(inspect(await run()), inspect(make()))
        await turn()
        t.is(cache.stats().unstored, i)
        t.is(seen.length, i)
      }
      t.like(seen[0], { key: 'k', error: { code } })
      t.is(seen[0]?.error.name, 'CacheError')
      t.deepEqual(
        told.map(([channel, { key, done, error }]) => [
          channel,
          key,
          done,
          (error as { code?: string } | undefined)?.code,
        ]),
        [1, 2].flatMap(() => [
          ['unstored', 'k', undefined, code],
          ['load', 'k', false, undefined],
        ]),
      )
    })
  }
}

test('callers of another thread that can get no copy load at the same time, not one after the other', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, maxEntrySize: LIMIT })
  const others = [1, 2, 3].map(() => openCache(t, { name, maxEntrySize: LIMIT }))
  const first = gate<unknown>()
  const rest = gate<unknown>()
  let running = 0
  const own = cache.getOrSet('a', () => first.promise)
  const calls = others.flatMap((each) => [0, 1].map(() => each.getOrSet('a', () => (running++, rest.promise))))
  first.open('x'.repeat(100_000))
  await within('the first', own)
  await eventually('one load for each thread', () => running === others.length)
  rest.open('y'.repeat(100_000))
  for (const value of await within('the others', Promise.all(calls))) t.is(value, 'y'.repeat(100_000))
  t.is(running, others.length)
})

test('a call of a lone load obeys its timeouts, its signal and close', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, maxEntrySize: LIMIT })
  const other = openCache(t, { name, maxEntrySize: LIMIT })
  const first = gate<unknown>()
  const never = gate<unknown>()
  const running = gate()
  let loads = 0
  const load = (): Promise<unknown> => {
    loads++
    running.open()
    return never.promise
  }
  const controller = new AbortController()
  const own = cache.getOrSet('a', () => first.promise)
  const aborted = other.getOrSet('a', load, { signal: controller.signal, timeout: 1, stale: '1h' })
  const late = other.getOrSet('a', load, { hardTimeout: 50 })
  const closed = other.getOrSet('a', load)
  first.open('x'.repeat(100_000))
  await own
  await within('the lone load', running.promise)
  controller.abort(new Error('enough'))
  await t.throwsAsync(aborted as Promise<never>, { message: 'enough' })
  await t.throwsAsync(late as Promise<never>, { code: 'ERR_TIMEOUT' })
  other.close()
  await t.throwsAsync(closed as Promise<never>, { code: 'ERR_CLOSED' })
  t.is(loads, 1)
})

test('an error of a custom encode does not reject a load', async (t) => {
  const mine = new RangeError('mine')
  const codec = {
    id: 9,
    encode: (): never => {
      throw mine
    },
    decode: (): never => {
      throw mine
    },
  }
  const cache = openCache(t, { codec })
  const seen: UnstoredEvent[] = []
  cache.on('unstored', (event) => seen.push(event))
  t.deepEqual(await cache.getOrSet('a', () => ({ x: 1 })), { x: 1 })
  await turn()
  t.like(seen[0], { key: 'a', error: { code: 'ERR_UNSERIALIZABLE', cause: mine } })
  t.throws(() => cache.set('a', {}), { is: mine })
})
