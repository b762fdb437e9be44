/**
 * Queues of work within one process.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { segments } from '../../index.ts'
import type { CacheError, QueueItem, QueueOptions } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

const EMPTY = { ready: 0, taken: 0, dead: 0, waiting: 0 }

test('items are taken in the order of their pushes, and end with ack', async (t) => {
  const cache = openCache(t)
  const queue = cache.queue<{ n: number }>('jobs')
  t.is(queue.name, 'jobs')
  t.is(queue.capacity, 1000)
  t.is(queue.tryTake(), undefined)
  const ids = [1, 2, 3].map((n) => queue.push({ n }))
  t.deepEqual(
    ids,
    ids.toSorted((a, b) => a - b),
  )
  t.deepEqual(queue.counts(), { ...EMPTY, ready: 3 })
  for (const n of [1, 2, 3]) {
    const item = n === 2 ? queue.tryTake() : await queue.take()
    t.deepEqual([item?.value, item?.attempts, item?.id], [{ n }, 1, ids[n - 1]])
    t.true(item?.ack())
    t.false(item?.ack())
    t.false(item?.release())
    t.false(item?.extend())
  }
  t.deepEqual(queue.counts(), EMPTY)
})

test('values of every kind come back, and a value that cannot be stored leaves no item', (t) => {
  const queue = openCache(t).queue('kinds')
  const values = ['text', 1.5, null, undefined, true, 5n, new Date(5), new Map([[1, { a: new Set([2]) }]]), [1, [2]]]
  for (const value of values) queue.push(value)
  for (const value of values) {
    const item = queue.tryTake()
    t.deepEqual(item?.value, value)
    item?.ack()
  }
  queue.push(Buffer.from([0, 255]))
  t.deepEqual(Buffer.from(queue.tryTake()?.value as Uint8Array), Buffer.from([0, 255]))
  t.throws(() => queue.push(() => 1), { code: 'ERR_UNSERIALIZABLE' })
  t.deepEqual(queue.counts(), { ...EMPTY, taken: 1 })
})

test('waiting callers get items in the order of their calls', async (t) => {
  const cache = openCache(t)
  const queue = cache.queue<number>('q')
  const takes = [1, 2, 3, 4].map(() => queue.take())
  await turnOfTheLoop()
  t.is(queue.counts().waiting, 4)
  const controller = new AbortController()
  const aborted = queue.take({ signal: controller.signal })
  const late = queue.take({ timeout: 1 })
  controller.abort(new Error('enough'))
  await t.throwsAsync(aborted, { message: 'enough' })
  await t.throwsAsync(late, { code: 'ERR_TIMEOUT', message: /no item came to the queue 'q' within 1 ms/ })
  for (const n of [1, 2, 3, 4]) queue.push(n)
  const items = await within('all items', Promise.all(takes))
  t.deepEqual(
    items.map(({ value }) => value),
    [1, 2, 3, 4],
  )
  t.deepEqual(queue.counts(), { ...EMPTY, taken: 4 })
})

test('a released item is the first one again, and using releases it', async (t) => {
  const queue = openCache(t).queue<string>('q')
  queue.push('a')
  queue.push('b')
  {
    await using item = await queue.take()
    t.is(item.value, 'a')
  }
  const again = queue.tryTake()
  t.deepEqual([again?.value, again?.attempts], ['a', 2])
  const waiting = queue.take()
  t.is((await waiting).value, 'b')
  const next = queue.take()
  t.true(again?.release())
  t.deepEqual([(await within('the released item', next)).attempts], [3])
})

test('an item returns after its visibility, and becomes a dead letter after its attempts', async (t) => {
  const cache = openStopped(t)
  const queue = cache.queue<string>('q', { visibility: 100, attempts: 2 })
  const id = queue.push('slow')
  const first = queue.tryTake() as QueueItem<string>
  advance(cache, 99)
  t.true(first.extend())
  advance(cache, 99)
  t.is(queue.tryTake(), undefined)
  const waiting = queue.take()
  await turnOfTheLoop()
  advance(cache, 1)
  const second = await within('the item', waiting)
  t.deepEqual([second.id, second.attempts], [id, 2])
  t.false(first.ack())
  t.true(second.extend('1h'))
  t.true((second.expiresAt ?? 0) > Date.now() + 3_500_000)
  t.true(second.release())
  t.is(queue.tryTake(), undefined)
  t.deepEqual(queue.counts(), { ...EMPTY, dead: 1 })
  t.deepEqual(
    queue.deadLetters().map((letter) => [letter.id, letter.value]),
    [[id, 'slow']],
  )
  t.is(queue.revive(), 1)
  t.is(queue.tryTake()?.attempts, 1)
  advance(cache, 100)
  queue.tryTake()
  advance(cache, 100)
  const [letter] = (queue.tryTake(), queue.deadLetters())
  t.true(letter?.discard())
  t.false(letter?.discard())
  t.deepEqual(queue.counts(), EMPTY)
})

test('a full queue refuses, and loses nothing', (t) => {
  const cache = openCache(t)
  const queue = cache.queue<number>('q', { capacity: 2 })
  queue.push(1)
  queue.push(2)
  t.is(queue.tryPush(3), undefined)
  const error = t.throws(() => queue.push(3), { code: 'ERR_NO_SPACE' }) as CacheError
  t.is(error.hint, 'Take items and acknowledge them, remove dead letters, or use tryPush and push later.')
  const item = queue.tryTake()
  t.is(queue.tryPush(3), undefined, 'an item in hand has its place')
  item?.ack()
  t.is(typeof queue.tryPush(3), 'number')
  t.throws(() => cache.queue('large').push('x'.repeat(5_000_000)), { code: 'ERR_VALUE_TOO_LARGE' })
  t.deepEqual(cache.queue('large').counts(), EMPTY)
})

test('a thousand items in hand have room', (t) => {
  const queue = openCache(t, { size: '16mb' }).queue<number>('q')
  for (let i = 0; i < 1000; i++) queue.push(i)
  t.is(queue.tryPush(1000), undefined)
  const items = Array.from({ length: 1000 }, () => queue.tryTake())
  t.deepEqual(
    items.map((item) => item?.value),
    Array.from({ length: 1000 }, (_, i) => i),
  )
  for (const item of items.toReversed()) t.true(item?.release())
  for (let i = 0; i < 1000; i++) t.is(queue.tryTake()?.value, i)
})

test('items survive clear and floods of entries, and belong to their namespace', (t) => {
  const cache = openCache(t, { size: '2mb' })
  cache.queue('q').push('kept')
  cache.clear()
  for (let i = 0; i < 5000; i++) cache.set(`k${i}`, 'x'.repeat(500))
  t.true(cache.stats().evictions > 0)
  t.is(cache.namespace('other').queue('q').tryTake(), undefined)
  t.is(cache.queue('q').tryTake()?.value, 'kept')
  t.deepEqual(
    [...cache.keys()].filter((key) => !String(key).startsWith('k')),
    [],
  )
})

test('close gives back what is in hand, and rejects waiting callers', async (t) => {
  const cache = openCache(t)
  const other = openCache(t, { name: cache.name })
  cache.queue('q').push(1)
  const item = other.queue('q').tryTake()
  const waiting = other.queue('q').take()
  await turnOfTheLoop()
  other.close()
  await t.throwsAsync(waiting, { code: 'ERR_CLOSED' })
  t.deepEqual(cache.queue('q').counts(), { ...EMPTY, ready: 1 })
  t.false(item?.ack())
  t.is(cache.queue('q').tryTake()?.attempts, 2)
})

test('a waiting caller goes on in the segment that takes the place of a destroyed one', async (t) => {
  const cache = openCache(t)
  const other = openCache(t, { name: cache.name })
  other.queue('q').push('lost')
  const item = other.queue('q').tryTake()
  const waiting = other.queue<string>('q').take()
  await turnOfTheLoop()
  segments.destroy(cache.name, { force: true })
  other.queue('q').push('new')
  t.is((await within('the item', waiting)).value, 'new')
  t.false(item?.ack())
})

test('a take that finds the segment destroyed has one place in the new one', async (t) => {
  const cache = openCache(t)
  const other = openCache(t, { name: cache.name })
  segments.destroy(cache.name, { force: true })
  const waiting = other.queue<number>('q').take()
  t.is(other.queue('q').counts().waiting, 1)
  other.queue('q').push(1)
  other.queue('q').push(2)
  t.is((await within('the item', waiting)).value, 1)
  t.deepEqual(other.queue('q').counts(), { ...EMPTY, ready: 1, taken: 1 })
})

test('a loop takes one item after the other', async (t) => {
  const queue = openCache(t).queue<number>('q')
  for (let i = 0; i < 5; i++) queue.push(i)
  const seen: number[] = []
  for await (const item of queue) {
    seen.push(item.value)
    item.ack()
    if (seen.length === 5) break
  }
  t.deepEqual(seen, [0, 1, 2, 3, 4])
  t.deepEqual(queue.counts(), EMPTY)
})

test('bad arguments', async (t) => {
  const cache = openCache(t)
  const wrong: [QueueOptions, string][] = [
    [{ capacity: 0 }, 'ERR_INVALID_ARGUMENT'],
    [{ capacity: 1001 }, 'ERR_INVALID_ARGUMENT'],
    [{ attempts: 0 }, 'ERR_INVALID_ARGUMENT'],
    [{ attempts: 1.5 }, 'ERR_INVALID_ARGUMENT'],
    [{ visibility: 0 }, 'ERR_INVALID_TTL'],
    [{ visibility: 'soon' as never }, 'ERR_INVALID_TTL'],
    [{ maxSize: 1 } as never, 'ERR_INVALID_ARGUMENT'],
  ]
  for (const [options, code] of wrong) t.throws(() => cache.queue('q', options), { code }, JSON.stringify(options))
  t.throws(() => cache.queue({} as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.queue('x'.repeat(8190)), { code: 'ERR_KEY_TOO_LONG' })
  await t.throwsAsync(cache.queue('q').take({ ttl: 1 } as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.notThrows(() => cache.queue('q', { attempts: Infinity, visibility: Infinity }).push(1))
  t.is(cache.queue('q', { attempts: Infinity, visibility: Infinity }).tryTake()?.expiresAt, undefined)
  cache.close()
  t.throws(() => cache.queue('q'), { code: 'ERR_CLOSED' })
})
