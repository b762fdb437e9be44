/**
 * `publish` and `subscribe` within one process.
 *
 * `within` is not only a watchdog here: these waits keep no process alive, and the runner takes an idle process for a
 * hung test.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { take } from '../helpers/streams.ts'

const DONE = { done: true, value: undefined }

test('a message is any value that can be stored, and each subscriber gets its own copy', async (t) => {
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

test('a message that is too long is refused with the limit and a hint', async (t) => {
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

test('a subscription to a prefix gets the channel with every message', async (t) => {
  const cache = openCache(t)
  const messages = cache.subscribe({ prefix: 'room:' })
  for (const channel of ['room:1', 'room', 'room:', 'other', 'room:ä']) cache.publish(channel, channel)
  t.deepEqual((await take(messages, 3)).map(({ channel, message }) => [channel, message]), [
    ['room:1', 'room:1'],
    ['room:', 'room:'],
    ['room:ä', 'room:ä'],
  ]) // prettier-ignore
})

test('a channel may have any text, also U+FFFD', async (t) => {
  const cache = openCache(t)
  for (const channel of ['ä€😀', 'a\uFFFD', '\uFFFD', '\uFEFF\0']) {
    const messages = cache.subscribe(channel)
    t.is(cache.publish(channel, 1), 1, channel)
    t.like((await take(messages, 1))[0], { channel, message: 1 })
    await messages.return?.()
  }
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

test('a slow subscriber gets the exact number of messages that it lost', async (t) => {
  const cache = openCache(t)
  const slow = cache.subscribe<number>('news', { buffer: 5 })
  const patient = cache.subscribe<number>('news', { buffer: 1000 })
  for (let i = 0; i < 600; i++) cache.publish('news', i)
  t.is((await take(patient, 600)).at(-1)?.message, 599)
  t.deepEqual((await take(slow, 5)).map(({ message, lost }) => [message, lost]), [[595, 595], [596, 0], [597, 0], [598, 0], [599, 0]]) // prettier-ignore
  cache.publish('news', 600)
  t.like((await take(slow, 1))[0], { message: 600, lost: 0 })
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

test('every way of ending a subscription ends it without a pending call', async (t) => {
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

test('wrong channels and options throw', (t) => {
  const cache = openCache(t)
  for (const channel of ['', 5, null, undefined, {}, { prefix: '' }, { prefix: 5 }, 'lone \uD800']) {
    t.throws(() => cache.subscribe(channel as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.publish(channel as never, 1), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  t.throws(() => cache.publish('x'.repeat(8193), 1), { code: 'ERR_KEY_TOO_LONG' })
  t.throws(() => cache.subscribe('news', { buffer: -1 }), { code: 'ERR_INVALID_ARGUMENT' })
})
