/**
 * `waitFor` within one process.
 *
 * `within` is not only a watchdog here: these waits keep no process alive, and the runner takes an idle process for a
 * hung test.
 */
import { getEventListeners } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import { CacheError } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { noticesArrived } from '../helpers/notices.ts'
import { openCache, openStopped, segmentName } from '../helpers/segment.ts'

test('waitFor resolves at once with an existing entry', async (t) => {
  const cache = openCache(t)
  cache.set('a', { x: 1 }, '1h')
  const entry = await cache.waitFor('a')
  t.deepEqual(entry, { ...cache.getEntry('a'), createdAt: entry.createdAt, expiresAt: entry.expiresAt } as typeof entry)
  t.deepEqual(entry.value, { x: 1 })
})

test('waitFor resolves when the same process sets the key', async (t) => {
  const cache = openCache(t)
  const waiting = within('the entry', cache.waitFor('a'))
  await turn()
  cache.set('a', 'x')
  t.is((await waiting).value, 'x')
})

test('every way of writing an entry ends a wait', async (t) => {
  const cache = openCache(t)
  const ways: [key: string, write: () => unknown][] = [
    ['set', () => cache.set('set', 1)],
    ['add', () => cache.add('add', 1)],
    ['incr', () => cache.incr('incr')],
    ['incrBigInt', () => cache.incrBigInt('incrBigInt')],
    ['swap', () => cache.swap('swap', 1)],
    ['update', () => cache.update('update', () => 1)],
    ['append', () => cache.append('append', 'text')],
    ['setMany', () => cache.setMany([['setMany', 1]])],
    ['with options', () => cache.set('with options', 1, { ttl: '1m', stale: '1m', tags: ['a'], if: 'absent' })],
    ['structured', () => cache.set('structured', new Map([[1, new Date(0)]]))],
    ['large', () => cache.set('large', Buffer.alloc(1_000_000))],
    ['null', () => cache.set('null', null)],
  ]
  for (const [key, write] of ways) {
    const waiting = within(key, cache.waitFor(key))
    write()
    t.truthy(await waiting)
  }
})

test('every way of replacing an entry ends a wait for a later version', async (t) => {
  const cache = openCache<unknown>(t)
  const ways: [before: unknown, write: () => unknown][] = [
    [1, () => cache.set('a', 2, { if: 'present' })],
    [1, () => cache.replace('a', 2, { keepTtl: true })],
    [1, () => cache.swap('a', 2)],
    [1, () => cache.update('a', () => 2)],
    [1, () => cache.incr('a')],
    [1n, () => cache.incrBigInt('a')],
    ['1', () => cache.append('a', '2')],
    [1, () => cache.delete('a') && cache.set('a', 2)],
    [1, () => cache.take('a') === 1 && cache.add('a', 2)],
    [1, () => [cache.clear(), cache.set('a', 1)]],
  ]
  for (const [before, write] of ways) {
    cache.set('a', before)
    const after = cache.getEntry('a')?.version ?? 0
    const waiting = within(String(write), cache.waitFor('a', { after }))
    await turn()
    write()
    t.true((await waiting).version > after, String(write))
  }
})

test('a call that changes no value ends no wait', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1, { ttl: '1h', tags: ['red'] })
  const { version } = await cache.waitFor('a')
  let ended = false
  const waiting = within('the later entry', cache.waitFor('a', { after: version })).finally(() => (ended = true))
  const changes = [
    () => cache.touch('a', '2h'),
    () => cache.persist('a'),
    () => cache.invalidateTags(['blue']),
    () => cache.set('a', 1, { if: 'absent' }),
    () => cache.set('A', 1),
    () => cache.delete('a'),
    () => cache.clear(),
  ]
  for (const change of changes) {
    change()
    await noticesArrived(cache)
    t.false(ended, String(change))
  }
  cache.set('a', 2)
  t.is((await waiting).value, 2)
})

test('a stale entry ends no wait, and neither does an entry that a tag has ended', async (t) => {
  const cache = openStopped(t)
  for (const how of ['expired', 'outdated', 'removed'] as const) {
    cache.set('a', 'old', { ttl: 1000, stale: '1h', tags: ['red'] })
    if (how === 'expired') advance(cache, 1000)
    else cache.invalidateTags(['red'], { mode: how === 'outdated' ? 'stale' : 'remove' })
    let ended = false
    const waiting = within('the entry', cache.waitFor('a')).finally(() => (ended = true))
    await noticesArrived(cache)
    t.false(ended, how)
    cache.set('a', 'new')
    const { value, stale } = await waiting
    t.deepEqual([value, stale], ['new', false])
    cache.delete('a')
  }
})

test('a wait for a byte key keeps the bytes of the moment of the call', async (t) => {
  const cache = openCache(t)
  const key = Uint8Array.from([1, 2, 255])
  const waiting = within('the entry', cache.waitFor(key))
  key[0] = 9
  cache.set(key, 'of other bytes')
  await noticesArrived(cache)
  cache.set(Uint8Array.from([1, 2, 255]), 'of these')
  t.is((await waiting).value, 'of these')
})

test('a wait does not count as a read', async (t) => {
  const cache = openCache(t)
  cache.set('there', 1)
  const before = cache.stats()
  await cache.waitFor('there')
  const waiting = within('the entry', cache.waitFor('missing'))
  await turn()
  cache.set('missing', 1)
  await waiting
  const { hits, misses } = cache.stats()
  t.deepEqual({ hits, misses }, { hits: before.hits, misses: before.misses })
})

test('a thousand waits for a thousand keys and ten waits for one key all resolve', async (t) => {
  const cache = openCache<number>(t)
  const keys = Array.from({ length: 1000 }, (_, index) => `k${index}`)
  const waiting = Promise.all([...keys, ...Array<string>(10).fill('same')].map((key) => cache.waitFor(key)))
  cache.set('same', -1)
  for (const [index, key] of keys.entries()) cache.set(key, index)
  const values = (await within('all', waiting)).map(({ value }) => value)
  t.deepEqual(values, [...keys.keys(), ...Array<number>(10).fill(-1)])
})

test('of ten thousand waits for ten thousand keys each ends with its own entry, or with its abort', async (t) => {
  const cache = openCache<number>(t)
  const controller = new AbortController()
  const { signal } = controller
  const waits = Array.from({ length: 10_000 }, (_, i) => cache.waitFor(`k${i}`, i % 3 === 0 ? { signal } : {}))
  const settled = Promise.allSettled(waits)
  controller.abort(new Error('enough'))
  for (let i = 9_999; i >= 0; i--) cache.set(`k${i}`, i)
  const results = await within('all', settled)
  const values = results.map((result) => (result.status === 'fulfilled' ? result.value.value : 'aborted'))
  t.deepEqual(
    values,
    Array.from({ length: 10_000 }, (_, i) => (i % 3 === 0 ? 'aborted' : i)),
  )
})

test('after accepts only a later version', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const { version } = await cache.waitFor('a')
  const waiting = within('the later entry', cache.waitFor('a', { after: version }))
  cache.touch('a', '1h')
  cache.set('b', 1)
  await turn()
  cache.set('a', 2)
  const next = await waiting
  t.is(next.value, 2)
  t.true(next.version > version)
  t.is((await cache.waitFor('a', { after: version })).value, 2)
})

test('an entry that is deleted before the waiter reads it does not end the wait', async (t) => {
  const cache = openCache(t)
  const waiting = within('the second entry', cache.waitFor('a'))
  cache.set('a', 'first')
  cache.delete('a')
  await turn()
  cache.set('a', 'second')
  t.is((await waiting).value, 'second')
})

test('an expired entry does not end a wait', async (t) => {
  const cache = openStopped(t)
  cache.set('a', 1, 1000)
  advance(cache, 1000)
  const waiting = within('the entry', cache.waitFor('a'))
  await turn()
  cache.set('a', 2)
  t.is((await waiting).value, 2)
})

test('a timeout rejects with ERR_TIMEOUT, and a later entry changes nothing', async (t) => {
  const cache = openCache(t)
  for (const timeout of [0, 20, '20ms'] as const) {
    await t.throwsAsync(within('the timeout', cache.waitFor('a', { timeout })), {
      instanceOf: CacheError,
      code: 'ERR_TIMEOUT',
    })
  }
  cache.set('a', 1)
  await turn()
  t.is((await cache.waitFor('a', { timeout: 0 })).value, 1)
})

test('a timeout longer than any timer does not fire at once', async (t) => {
  const cache = openCache(t)
  const waiting = within('the entry', cache.waitFor('a', { timeout: '60d' }))
  await turn()
  cache.set('a', 1)
  t.is((await waiting).value, 1)
})

test('an abort rejects with the reason of the signal', async (t) => {
  const cache = openCache(t)
  const reason = new RangeError('changed my mind')
  await t.throwsAsync(cache.waitFor('a', { signal: AbortSignal.abort(reason) }), { is: reason })

  const controller = new AbortController()
  const waiting = cache.waitFor('a', { signal: controller.signal })
  controller.abort(reason)
  await t.throwsAsync(waiting, { is: reason })
  const signal = AbortSignal.timeout(1)
  t.is(
    await within(
      'the abort',
      cache.waitFor('a', { signal }).catch((why: unknown) => why),
    ),
    signal.reason,
  )
})

test('a signal that is aborted after the wait changes nothing', async (t) => {
  const cache = openCache(t)
  const controller = new AbortController()
  const waiting = within('the entry', cache.waitFor('a', { signal: controller.signal }))
  cache.set('a', 1)
  t.is(getEventListeners(controller.signal, 'abort').length, 1)
  t.is((await waiting).value, 1)
  t.is(getEventListeners(controller.signal, 'abort').length, 0, 'the wait has left the signal')
  const again = within('the second entry', cache.waitFor('b'))
  controller.abort()
  await turn()
  cache.set('b', 2)
  t.is((await again).value, 2)
})

test('close rejects pending waits, and so do later calls', async (t) => {
  const cache = openCache(t)
  const pending = [cache.waitFor('a'), cache.waitFor('b', { timeout: '1h', ref: true })]
  cache.close()
  for (const wait of pending) await t.throwsAsync(wait, { instanceOf: CacheError, code: 'ERR_CLOSED' })
  await t.throwsAsync(cache.waitFor('a'), { code: 'ERR_CLOSED' })
})

test('close of one handle leaves the waits of another handle alone', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const waiting = within('the entry', cache.waitFor('a'))
  other.close()
  cache.set('a', 1)
  t.is((await waiting).value, 1)
})

test('wrong options reject', async (t) => {
  const cache = openCache(t)
  const wrong: unknown[] = [
    { after: -1 },
    { after: 1.5 },
    { after: '1' },
    { timeout: -1 },
    { timeout: 'soon' },
    { timeout: null },
    { signal: {} },
  ]
  for (const options of wrong) {
    await t.throwsAsync(cache.waitFor('a', options as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
})
