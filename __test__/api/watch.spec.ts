/**
 * `watch` within one process.
 *
 * `within` is not only a watchdog here: these waits keep no process alive, and the runner takes an idle process for a
 * hung test.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import { CacheError } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'
import { take, told } from '../helpers/streams.ts'

test('a watch gets expiries and evictions', async (t) => {
  const cache = openStopped(t, { size: '2mb' })
  const changes = cache.watch({}, { buffer: 100_000 })
  cache.set('short', 1, 1000)
  advance(cache, 1000)
  t.deepEqual(await told(changes, 2), ['set short', 'expire short'])
  while (cache.stats().evictions === 0) cache.set(`k${cache.stats().sets}`, Buffer.alloc(50_000))
  const rest = await take(changes, cache.stats().sets - 1 + cache.stats().evictions)
  t.is(rest.filter(({ type }) => type === 'evict').length, cache.stats().evictions)
})

test('a watch begins with the call', async (t) => {
  const cache = openCache(t)
  cache.set('before', 1)
  const changes = cache.watch()
  cache.set('after', 1)
  t.deepEqual(await told(changes, 1), ['set after'])
})

test('key, prefix and tags select the changes of a watch', async (t) => {
  const cache = openCache(t)
  const byKey = cache.watch({ key: 'user:1' })
  const byPrefix = cache.watch({ prefix: 'user:' })
  const byTags = cache.watch({ tags: ['red', 'blue'] })
  cache.set('user:1', 1)
  cache.set('user:10', 1, { tags: ['green'] })
  cache.set('page', 1, { tags: ['blue', 'green', 'red'] })
  cache.set('user:2', 1, { tags: ['red'] })
  cache.delete('user:1')
  t.deepEqual(await told(byKey, 2), ['set user:1', 'delete user:1'])
  t.deepEqual(await told(byPrefix, 4), ['set user:1', 'set user:10', 'set user:2', 'delete user:1'])
  const tagged = await take(byTags, 2)
  t.deepEqual(tagged.map(({ key, tags }) => [key, tags]), [['page', ['red', 'blue']], ['user:2', ['red']]]) // prettier-ignore

  cache.invalidateTags(['green', 'blue'])
  cache.invalidateTags('green')
  cache.set('end', 1, { tags: ['red'] })
  t.deepEqual((await take(byTags, 2)).map(({ type, tags }) => [type, tags]), [['invalidate', ['blue']], ['set', ['red']]]) // prettier-ignore
  t.deepEqual(await told(byKey, 2), ['invalidate', 'invalidate'])
})

test('keys come back as they were given', async (t) => {
  const cache = openCache(t)
  const keys = ['ä€😀', '\uFFFD', Uint8Array.of(0, 255, 128), Uint8Array.of(97), 'x'.repeat(8192)]
  const changes = cache.watch()
  const one = cache.watch({ key: Uint8Array.of(0, 255, 128) })
  const byPrefix = cache.watch({ prefix: Uint8Array.of(0, 255) })
  for (const key of keys) cache.set(key, 1)
  const seen = (await take(changes, keys.length)).map(({ key }) => (typeof key === 'string' ? key : [...(key ?? [])]))
  t.deepEqual(seen, keys.map((key) => (typeof key === 'string' ? key : [...key]))) // prettier-ignore
  t.deepEqual((await take(one, 1))[0]?.key, Uint8Array.of(0, 255, 128))
  t.deepEqual((await take(byPrefix, 1))[0]?.key, Uint8Array.of(0, 255, 128))
})

test('a watch of a namespace gets its own changes, and a clear of the root', async (t) => {
  const cache = openCache(t)
  const own = cache.namespace('own')
  const ofRoot = cache.watch()
  const ofOwn = own.watch()
  cache.set('a', 1)
  own.set('b', 1)
  t.deepEqual(await told(ofOwn, 1), ['set b'])
  own.clear()
  t.deepEqual(await told(ofOwn, 1), ['clear'])
  cache.clear()
  own.set('c', 1)
  t.deepEqual(await told(ofOwn, 2), ['clear', 'set c'])
  cache.set('d', 1)
  t.deepEqual(await told(ofRoot, 3), ['set a', 'clear', 'set d'])
})

test('a slow consumer gets the exact number of changes that it lost', async (t) => {
  const cache = openCache<number>(t)
  const slow = cache.watch({}, { buffer: 10 })
  const patient = cache.watch()
  for (let i = 0; i < 500; i++) cache.set(`k${i}`, i)
  t.is((await take(patient, 500)).length, 500)
  const rest = await take(slow, 10)
  t.deepEqual(
    rest.map(({ key, lost }) => [key, lost]),
    Array.from({ length: 10 }, (_, i) => [`k${490 + i}`, i === 0 ? 490 : 0]),
  )
  cache.set('next', 1)
  t.like((await take(slow, 1))[0], { key: 'next', lost: 0 })
})

test('break ends a watch, and return ends its pending calls', async (t) => {
  const cache = openCache(t)
  const changes = cache.watch({}, { ref: true })
  cache.set('a', 1)
  for await (const change of changes) {
    t.is(change.key, 'a')
    break
  }
  cache.set('b', 1)
  t.deepEqual(await changes.next(), { done: true, value: undefined })

  const others = cache.watch()
  const waiting = [others.next(), others.next()]
  t.deepEqual(await others.return?.(), { done: true, value: undefined })
  t.deepEqual(await Promise.all(waiting), [DONE, DONE])
  t.deepEqual(await others.return?.(), DONE)
})

const DONE = { done: true, value: undefined }

test('an abort rejects once, with the reason of the signal', async (t) => {
  const cache = openCache(t)
  const reason = new RangeError('changed my mind')
  t.throws(() => cache.watch({}, { signal: AbortSignal.abort(reason) }), { is: reason })

  const controller = new AbortController()
  const { signal } = controller
  const [waiting, buffered, ended] = [
    cache.watch({}, { signal, ref: true }),
    cache.watch({}, { signal }),
    cache.watch({}, { signal }),
  ]
  const next = [waiting.next(), waiting.next()]
  cache.set('a', 1)
  t.is((await next[0])?.value?.key, 'a')
  await ended.return?.()
  cache.set('b', 1)
  t.is((await next[1])?.value?.key, 'b')
  const pending = waiting.next()
  controller.abort(reason)
  await t.throwsAsync(pending, { is: reason })
  t.deepEqual(await waiting.next(), DONE)
  await t.throwsAsync(buffered.next(), { is: reason }, 'buffered changes are dropped')
  t.deepEqual(await buffered.next(), DONE)
  t.deepEqual(await ended.next(), DONE)
})

test('close ends a watch for every consumer without an error', async (t) => {
  const cache = openCache(t)
  const own = cache.namespace('own')
  const [waiting, idle, ofOwn] = [cache.watch({}, { ref: true }), cache.watch(), own.watch()]
  const pending = [waiting.next(), ofOwn.next()]
  cache.set('a', 1)
  await turn()
  cache.close()
  t.deepEqual((await within('the end', Promise.all(pending)))[1], DONE)
  t.deepEqual(await idle.next(), DONE)
  t.throws(() => cache.watch(), { instanceOf: CacheError, code: 'ERR_CLOSED' })
})

test('several pending calls of next get their changes in the order of the calls', async (t) => {
  const cache = openCache(t)
  const changes = cache.watch()
  const asked = [changes.next(), changes.next(), changes.next()]
  for (const key of ['a', 'b', 'c']) cache.set(key, 1)
  t.deepEqual(
    (await within('all', Promise.all(asked))).map(({ value }) => value?.key),
    ['a', 'b', 'c'],
  )
})

test('wrong filters and options throw', (t) => {
  const cache = openCache(t)
  const wrong: [unknown, unknown][] = [
    [{ key: '' }, {}],
    [{ key: 'x'.repeat(8193) }, {}],
    [{ prefix: 5 }, {}],
    [{ tags: [] }, {}],
    [{ tags: 'red' }, {}],
    [{ tags: [''] }, {}],
    [null, {}],
    [{}, null],
    [{}, { buffer: 0 }],
    [{}, { buffer: 1.5 }],
    [{}, { buffer: '10' }],
    [{}, { signal: {} }],
  ]
  for (const [filter, options] of wrong) {
    t.throws(() => cache.watch(filter as never, options as never), { instanceOf: CacheError })
  }
})
