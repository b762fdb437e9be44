/**
 * `within` is not only a watchdog here: watches keep no process alive, and the runner takes an idle process for a hung test.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import { CacheError, segments } from '../index.ts'
import type { Change } from '../index.ts'
import { advance } from '../lib/testing.ts'
import { within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'
import { startThread } from './helpers/thread.ts'

type Changes = AsyncIterableIterator<Change>

/** The next `count` changes. */
async function take(changes: Changes, count: number): Promise<Change[]> {
  const taken: Change[] = []
  while (taken.length < count) {
    const { done, value } = await within('the next change', changes.next())
    if (done) throw new Error('it ended')
    taken.push(value)
  }
  return taken
}

/** The same, in short. */
async function told(changes: Changes, count: number): Promise<string[]> {
  return (await take(changes, count)).map(({ type, key }) => (key === undefined ? type : `${type} ${String(key)}`))
}

test('every change of another process comes, in order, with the version of its entry', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  const changes = cache.watch()
  const calls = [
    ['set', 'a', 1],
    ['set', 'a', 2],
    ['add', 'b', 1],
    ['replace', 'b', 2],
    ['incr', 'n'],
    ['append', 'text', 'x'],
    ['swap', 'a', 3],
    ['take', 'a'],
    ['delete', 'b'],
    ['touch', 'n', '1h'],
    ['setMany', [['m1', 1], ['m2', 2]]],
    ['deletePrefix', 'm'],
    ['getMany', ['n']],
    ['clear'],
    ['set', 'end', 1],
  ] // prettier-ignore
  for (const call of calls) await child.ask(call)
  const seen = await take(changes, 15)
  t.deepEqual(
    seen.map(({ type, key }) => [type, key]),
    [
      ['set', 'a'],
      ['set', 'a'],
      ['set', 'b'],
      ['set', 'b'],
      ['set', 'n'],
      ['set', 'text'],
      ['set', 'a'],
      ['delete', 'a'],
      ['delete', 'b'],
      ['set', 'm1'],
      ['set', 'm2'],
      ...seen.slice(11, 13).map(({ key }) => ['delete', key]),
      ['clear', undefined],
      ['set', 'end'],
    ],
  )
  t.deepEqual(
    seen
      .slice(11, 13)
      .map(({ key }) => key)
      .sort(),
    ['m1', 'm2'],
  )
  t.true(seen.every(({ lost, tags }) => lost === 0 && tags === undefined))
  t.is(seen.at(-1)?.version, cache.getEntry('end')?.version)
  t.is(seen[13]?.version, 0)
  t.is(seen[7]?.version, seen[6]?.version)
})

test('an expiry and an eviction are told', async (t) => {
  const cache = openStopped(t, { size: '2mb' })
  const changes = cache.watch({}, { buffer: 100_000 })
  cache.set('short', 1, 1000)
  advance(cache, 1000)
  t.deepEqual(await told(changes, 2), ['set short', 'expire short'])
  while (cache.stats().evictions === 0) cache.set(`k${cache.stats().sets}`, Buffer.alloc(50_000))
  const rest = await take(changes, cache.stats().sets - 1 + cache.stats().evictions)
  t.is(rest.filter(({ type }) => type === 'evict').length, cache.stats().evictions)
})

test('watching begins with the call', async (t) => {
  const cache = openCache(t)
  cache.set('before', 1)
  const changes = cache.watch()
  cache.set('after', 1)
  t.deepEqual(await told(changes, 1), ['set after'])
})

test('key, prefix and tags pick what is told', async (t) => {
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

test('a namespace hears of its own, and of a clear of all', async (t) => {
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

test('a slow consumer is told exactly how many it lost', async (t) => {
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

test('what a blocked event loop did not take is counted, whoever wrote it', async (t) => {
  const name = segmentName(t)
  const cache = openCache<number>(t, { name })
  const child = fork(t, 'counter', { name, size: SMALL, times: 30_000 })
  await child.next()
  const changes = cache.watch({ key: 'counter' }, { buffer: 100, ref: true })
  child.send('go')
  // Nothing of this thread runs until the child is done.
  const end = performance.now() + 20_000
  while (cache.get('counter') !== 30_000 && performance.now() < end);
  let count = 0
  let lost = 0
  const last = cache.getEntry('counter')?.version
  for await (const change of changes) {
    count++
    lost += change.lost
    if (change.version === last) break
  }
  t.true(count <= 100 && lost > 0)
  t.is(count + lost, 30_000)
})

test('break ends it, and return ends what waits', async (t) => {
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

test('an abort rejects with the reason of the signal, once', async (t) => {
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
  await t.throwsAsync(buffered.next(), { is: reason }, 'what waited in the buffer is dropped')
  t.deepEqual(await buffered.next(), DONE)
  t.deepEqual(await ended.next(), DONE)
})

test('close ends it cleanly, for every consumer', async (t) => {
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

test('several who wait get their changes in the order in which they asked', async (t) => {
  const cache = openCache(t)
  const changes = cache.watch()
  const asked = [changes.next(), changes.next(), changes.next()]
  for (const key of ['a', 'b', 'c']) cache.set(key, 1)
  t.deepEqual(
    (await within('all', Promise.all(asked))).map(({ value }) => value?.key),
    ['a', 'b', 'c'],
  )
})

test('a watch does not keep the process alive, unless asked to', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const idle = fork(t, 'feeder', { options, watch: {} })
  t.is(await idle.next(), 'ready')
  // 13: the program still waited for something that would not come.
  t.like(await within('the exit', idle.exit), { code: 13 })

  const held = fork(t, 'feeder', { options, watch: {}, feed: { ref: true } })
  t.is(await held.next(), 'ready')
  cache.set('a', 1)
  t.like(await held.next(), { type: 'set', key: 'a' })
  cache.set('b', 1)
  t.like(await held.next(), { type: 'set', key: 'b' })
})

test('a watch with ref lets the process go when its cache is closed', async (t) => {
  const name = segmentName(t)
  const child = fork(t, 'feeder', { options: { name, size: SMALL }, watch: {}, feed: { ref: true }, listen: true })
  t.is(await child.next(), 'ready')
  child.send(['close'])
  t.is(await child.next(), 'ended')
  t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })
})

test('it goes on over the destruction of the segment, and says that something may be lost', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  const changes = cache.watch({ prefix: 'k' })
  cache.set('k1', 1)
  t.deepEqual(await told(changes, 1), ['set k1'])
  segments.destroy(name, { force: true })
  const seen: Change[] = []
  while (!seen.some(({ lost }) => lost > 0)) seen.push(...(await take(changes, 1)))
  cache.set('k2', 1) // from here on it is in the new segment for certain
  await child.ask(['set', 'k3', 1])
  while (seen.at(-1)?.type !== 'set') seen.push(...(await take(changes, 1)))
  t.is(seen.pop()?.key, 'k2')
  t.deepEqual(await told(changes, 1), ['set k3'])
  // The old segment's last words are a clear, and what its locks were left as; the new one's first is the move.
  t.true(
    seen.every(
      ({ type, key, lost }) => key === undefined && (type === 'clear' || (type === 'invalidate' && lost === 1)),
    ),
  )
})

test('each thread has its own watches', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const threads = [1, 2].map(() => startThread(t, 'feeder', { options, watch: { prefix: 'k' }, feed: { ref: true } }))
  for (const thread of threads) t.is(await thread.next(), 'ready')
  for (let i = 0; i < 20; i++) cache.set(`k${i}`, i)
  for (const thread of threads) {
    for (let i = 0; i < 20; i++) t.like(await thread.next(), { type: 'set', key: `k${i}`, lost: 0 })
  }
  await threads[0]?.worker.terminate()
  cache.set('k', 1)
  t.like(await threads[1]?.next(), { key: 'k' })
})

test('beside a writer that is killed nothing is lost in silence', async (t) => {
  const name = segmentName(t)
  const cache = openCache<number>(t, { name })
  for (let round = 0; round < 5; round++) {
    const key = `numbers ${round}`
    const changes = cache.watch({ key }, { buffer: 1_000_000, ref: true })
    const child = fork(t, 'publisher', { name, size: SMALL, channel: key }, { stdout: 'pipe' })
    const first = await take(changes, 200 + 100 * round)
    child.kill()
    await child.exit
    const acknowledged = child.output.split('\n').filter(Boolean).length
    cache.set(key, -1)
    const last = cache.getEntry(key)?.version
    let seen = first.length
    // Where this process did not run for a while, the ring went round already.
    let lost = first.reduce((sum, change) => sum + change.lost, 0)
    for await (const change of changes) {
      seen++
      lost += change.lost
      if (change.version === last) break
    }
    // Its last write may have been done and not acknowledged.
    t.true(seen - 1 + lost >= acknowledged && seen - 1 <= acknowledged + 1, `${seen} ${lost} ${acknowledged}`)
  }
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
