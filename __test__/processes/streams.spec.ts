/**
 * Change streams and message streams between processes and threads.
 *
 * `within` is not only a watchdog here: these waits keep no process alive, and the runner takes an idle process for a
 * hung test.
 */
import test from 'ava'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { take } from '../helpers/streams.ts'
import { startThread } from '../helpers/thread.ts'

test('a watch gets every change of another process in order, with the version of its entry', async (t) => {
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

test('changes that a blocked event loop did not take are counted as lost, whichever process wrote them', async (t) => {
  const name = segmentName(t)
  const cache = openCache<number>(t, { name })
  const child = fork(t, 'counter', { name, size: SMALL, times: 30_000 })
  await child.next()
  const changes = cache.watch({ key: 'counter' }, { buffer: 100, ref: true })
  child.send('go')
  // Nothing else in this thread runs until the child is done.
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
  // Not at most 100 in all: the thread that fills the buffer may be behind, and goes on while the buffer is read.
  t.true(lost > 0)
  t.is(count + lost, 30_000)
})

test('each thread has its own watches', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const threads = [1, 2].map(() =>
    startThread(t, 'streamer', { options, watch: { prefix: 'k' }, stream: { ref: true } }),
  )
  for (const thread of threads) t.is(await thread.next(), 'ready')
  for (let i = 0; i < 20; i++) cache.set(`k${i}`, i)
  for (const thread of threads) {
    for (let i = 0; i < 20; i++) t.like(await thread.next(), { type: 'set', key: `k${i}`, lost: 0 })
  }
  await threads[0]?.worker.terminate()
  cache.set('k', 1)
  t.like(await threads[1]?.next(), { key: 'k' })
})

test('every subscriber of another process gets the messages of one process in order', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const children = [1, 2, 3].map(() => fork(t, 'streamer', { options, subscribe: 'news', stream: { ref: true } }))
  for (const child of children) t.is(await child.next(), 'ready')
  const own = cache.subscribe<number>('news')
  for (let i = 0; i < 300; i++) t.is(cache.publish('news', i), 4)
  for (const child of children) {
    for (let i = 0; i < 300; i++) t.deepEqual(await child.next(), { channel: 'news', message: i, lost: 0 })
  }
  t.deepEqual(
    (await take(own, 300)).map(({ message }) => message),
    [...Array(300).keys()],
  )
})

test('publish returns the number of living subscriptions of all processes', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  t.is(cache.publish('news', 1), 0)
  const first = cache.subscribe('news')
  const second = cache.subscribe('news')
  const byPrefix = cache.subscribe({ prefix: 'ne' })
  t.is(cache.publish('news', 1), 3)
  t.is(cache.publish('new', 1), 1)
  t.is(cache.publish('n', 1), 0)
  const child = fork(t, 'streamer', { options, subscribe: 'news', stream: { ref: true } })
  await child.next()
  t.is(cache.publish('news', 2), 4)
  child.kill()
  await child.exit
  t.is(cache.publish('news', 3), 3, 'subscriptions of a dead process do not count')
  await first.return?.()
  t.is(cache.publish('news', 4), 2)
  await byPrefix.return?.()
  t.is(cache.publish('news', 5), 1)
  const thread = startThread(t, 'streamer', { options, subscribe: 'news', stream: { ref: true } })
  await thread.next()
  t.is(cache.publish('news', 6), 2)
  await thread.worker.terminate()
  await eventually('the end of the thread', () => cache.publish('news', 7) === 1)
  await second.return?.()
  t.is(cache.publish('news', 8), 0)
})
