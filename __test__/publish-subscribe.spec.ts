/**
 * `within` is not only a watchdog here: subscriptions keep no process alive, and the runner takes an idle process for a hung
 * test.
 */
import test from 'ava'
import { CacheError, segments } from '../index.ts'
import type { ChannelMessage } from '../index.ts'
import { eventually, within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, segmentName } from './helpers/segment.ts'
import { startThread } from './helpers/thread.ts'

/** The next `count` messages. */
async function take<M>(
  messages: AsyncIterableIterator<ChannelMessage<M>>,
  count: number,
): Promise<ChannelMessage<M>[]> {
  const taken: ChannelMessage<M>[] = []
  while (taken.length < count) {
    const { done, value } = await within('the next message', messages.next())
    if (done) throw new Error('it ended')
    taken.push(value)
  }
  return taken
}

const DONE = { done: true, value: undefined }

test('what one process publishes every subscriber of another gets, in order', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const children = [1, 2, 3].map(() => fork(t, 'feeder', { options, subscribe: 'news', feed: { ref: true } }))
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

test('a message is any value that can be stored, and a copy of its own', async (t) => {
  const cache = openCache(t)
  const messages = cache.subscribe('values')
  const others = cache.subscribe('values')
  const values = [
    'text ä€😀', '', 'lone \uD800', '\uFFFD', 0, -0, NaN, Infinity, 1.5, true, false, null, 1n, -(2n ** 63n), 2n ** 100n,
    { a: [1, { b: null }] }, [1, undefined, 3], new Map([[{ x: 1 }, new Set([1n])]]), new Date(5), /x/gi, new Error('broken'),
    Buffer.from('bytes'), Uint8Array.of(1, 2), Float32Array.of(0.5), 'x'.repeat(8000),
  ] // prettier-ignore
  for (const value of values) t.is(cache.publish('values', value), 2)
  const seen = (await take(messages, values.length)).map(({ message }) => message)
  t.deepEqual(seen, values)
  t.true(Buffer.isBuffer(seen[21]))
  t.false(Buffer.isBuffer(seen[22]))
  t.not((await take(others, values.length))[15]?.message, seen[15])
  t.throws(() => cache.publish('values', undefined), { code: 'ERR_UNDEFINED_VALUE' })
  t.throws(() => cache.publish('values', () => 1), { code: 'ERR_UNSERIALIZABLE' })
})

test('a message that is too long is refused with the limit and what to do', async (t) => {
  const cache = openCache(t)
  const error = t.throws(() => cache.publish('large', Buffer.alloc(100_000)), {
    code: 'ERR_VALUE_TOO_LARGE',
  }) as CacheError
  const limit = Number(/takes (\d+) at most/.exec(error.message)?.[1])
  t.true(limit >= 8192)
  t.regex(error.hint, /set/)
  const messages = cache.subscribe<Buffer>('large')
  const largest = Buffer.alloc(limit - 64, 'abc')
  t.is(cache.publish('large', largest), 1)
  t.is(Buffer.compare((await take(messages, 1))[0]?.message ?? Buffer.alloc(0), largest), 0)
})

test('publish returns the number of living subscriptions, of all processes', async (t) => {
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
  const child = fork(t, 'feeder', { options, subscribe: 'news', feed: { ref: true } })
  await child.next()
  t.is(cache.publish('news', 2), 4)
  child.kill()
  await child.exit
  t.is(cache.publish('news', 3), 3, 'the dead do not count')
  await first.return?.()
  t.is(cache.publish('news', 4), 2)
  await byPrefix.return?.()
  t.is(cache.publish('news', 5), 1)
  const thread = startThread(t, 'feeder', { options, subscribe: 'news', feed: { ref: true } })
  await thread.next()
  t.is(cache.publish('news', 6), 2)
  await thread.worker.terminate()
  await eventually('the end of the thread', () => cache.publish('news', 7) === 1)
  await second.return?.()
  t.is(cache.publish('news', 8), 0)
})

test('a prefix is subscribed to, with the channel in every message', async (t) => {
  const cache = openCache(t)
  const messages = cache.subscribe({ prefix: 'room:' })
  for (const channel of ['room:1', 'room', 'room:', 'other', 'room:ä']) cache.publish(channel, channel)
  t.deepEqual((await take(messages, 3)).map(({ channel, message }) => [channel, message]), [
    ['room:1', 'room:1'],
    ['room:', 'room:'],
    ['room:ä', 'room:ä'],
  ]) // prettier-ignore
})

test('the channels of a namespace are its own', async (t) => {
  const cache = openCache(t)
  const own = cache.namespace('own')
  const ofRoot = cache.subscribe('news')
  const ofOwn = own.subscribe('news')
  t.is(cache.publish('news', 'root'), 1)
  t.is(own.publish('news', 'own'), 1)
  t.is((await take(ofRoot, 1))[0]?.message, 'root')
  t.is((await take(ofOwn, 1))[0]?.message, 'own')
})

test('a slow subscriber is told exactly how many it lost', async (t) => {
  const cache = openCache(t)
  const slow = cache.subscribe<number>('news', { buffer: 5 })
  const patient = cache.subscribe<number>('news', { buffer: 1000 })
  for (let i = 0; i < 600; i++) cache.publish('news', i)
  t.is((await take(patient, 600)).at(-1)?.message, 599)
  t.deepEqual((await take(slow, 5)).map(({ message, lost }) => [message, lost]), [[595, 595], [596, 0], [597, 0], [598, 0], [599, 0]]) // prettier-ignore
  cache.publish('news', 600)
  t.like((await take(slow, 1))[0], { message: 600, lost: 0 })
})

test('who keeps up misses nothing of a publisher in another process, until it is killed', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  for (let round = 0; round < 5; round++) {
    const channel = `numbers ${round}`
    const messages = cache.subscribe<number>(channel, { ref: true })
    const child = fork(t, 'publisher', { name, size: SMALL, channel }, { stdout: 'pipe' })
    let last = 0
    for await (const { message, lost } of messages) {
      t.is(message, last + lost + 1)
      last = message
      if (message > 500 * (round + 1)) break
    }
    child.kill()
    await child.exit
    t.true(child.output.split('\n').slice(0, -1).every((line) => /^\d+ [01]$/.test(line))) // prettier-ignore
    const after = cache.subscribe(channel)
    t.is(cache.publish(channel, 'after'), 1)
    t.like((await take(after, 1))[0], { message: 'after', lost: 0 })
  }
})

test('messages of another codec count as lost', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const packed = { id: 7, encode: () => Uint8Array.of(1), decode: () => 'decoded' }
  const other = openCache(t, { name, codec: packed })
  const [plain, coded] = [cache.subscribe('news'), other.subscribe('news')]
  other.publish('news', { only: 'with the codec' })
  cache.publish('news', 5)
  t.deepEqual(await take(plain, 1), [{ channel: 'news', message: 5, lost: 1 }])
  t.deepEqual(
    (await take(coded, 2)).map(({ message }) => message),
    ['decoded', 5],
  )
})

test('every way of ending a subscription ends it cleanly', async (t) => {
  const cache = openCache(t)
  const reason = new Error('enough')
  const controller = new AbortController()
  const aborted = cache.subscribe('news', { signal: controller.signal })
  const pending = aborted.next()
  controller.abort(reason)
  await t.throwsAsync(pending, { is: reason })
  t.deepEqual(await aborted.next(), DONE)
  t.throws(() => cache.subscribe('news', { signal: controller.signal }), { is: reason })
  t.is(cache.publish('news', 1), 0)

  const broken = cache.subscribe('news', { ref: true })
  cache.publish('news', 1)
  for await (const { message } of broken) {
    t.is(message, 1)
    break
  }
  t.is(cache.publish('news', 1), 0)

  const closed = cache.subscribe('news', { ref: true })
  const last = closed.next()
  cache.close()
  t.deepEqual(await within('the end', last), DONE)
  t.throws(() => cache.publish('news', 1), { code: 'ERR_CLOSED' })
  t.throws(() => cache.subscribe('news'), { code: 'ERR_CLOSED' })
})

test('a subscription does not keep the process alive, unless asked to', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const options = { name, size: SMALL }
  const idle = fork(t, 'feeder', { options, subscribe: 'news' })
  t.is(await idle.next(), 'ready')
  t.like(await within('the exit', idle.exit), { code: 13 })
  const held = fork(t, 'feeder', { options, subscribe: 'news', feed: { ref: true } })
  t.is(await held.next(), 'ready')
  cache.publish('news', 'still there')
  t.like(await held.next(), { message: 'still there' })
})

test('a subscription goes on over the destruction of the segment', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const messages = cache.subscribe('news')
  cache.publish('news', 1)
  t.like((await take(messages, 1))[0], { message: 1, lost: 0 })
  segments.destroy(name, { force: true })
  await eventually('the new segment', () => cache.publish('news', 'in the new one') === 1)
  t.like((await take(messages, 1))[0], { message: 'in the new one', lost: 1 })
})

test('wrong channels and options throw', (t) => {
  const cache = openCache(t)
  for (const channel of ['', 5, null, undefined, {}, { prefix: '' }, { prefix: 5 }, 'lone \uD800']) {
    t.throws(() => cache.subscribe(channel as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.publish(channel as never, 1), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  t.throws(() => cache.publish('x'.repeat(8193), 1), { code: 'ERR_KEY_TOO_LONG' })
  t.throws(() => cache.subscribe('news', { buffer: -1 }), { code: 'ERR_INVALID_ARGUMENT' })
})
