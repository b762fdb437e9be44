/**
 * The option `codec`: 'auto', 'json' and codecs of the user's own, side by side in one segment.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import test from 'ava'
import { CacheError } from '../index.ts'
import type { Codec, DamageEvent, OpenOptions, SharedCache } from '../index.ts'
import { eventually } from './helpers/eventually.ts'
import { openCache, segmentName } from './helpers/segment.ts'

const packed: Codec = {
  id: 1,
  encode: (value) => deflateRawSync(JSON.stringify(value)),
  decode: (bytes) => JSON.parse(inflateRawSync(bytes).toString()) as unknown,
}

test("'json' stores objects as JSON.stringify writes them, and all else as it is", (t) => {
  const cache = openCache<unknown>(t, { codec: 'json' })
  cache.set('a', { at: new Date(0), gone: undefined, list: [undefined, Number.NaN], map: new Map([['x', 1]]) })
  t.deepEqual(cache.get('a'), { at: '1970-01-01T00:00:00.000Z', list: [null, null], map: {} })
  class Point {
    readonly x = 1
    toJSON(): unknown {
      return { point: this.x }
    }
  }
  cache.set('a', new Point())
  t.deepEqual(cache.get('a'), { point: 1 })
  for (const value of ['text', '\uD800', 5, -0, Number.NaN, null, true, 5n, 2n ** 80n, Buffer.from('x')]) {
    cache.set('a', value)
    t.deepEqual(cache.get('a'), value)
  }
  cache.set('a', JSON.parse('{"__proto__":{"x":1}}'))
  t.is(Object.getPrototypeOf(cache.get('a')), Object.prototype)
})

test("'json' refuses what JSON has no text for, with its reason", (t) => {
  const cache = openCache<unknown>(t, { codec: 'json' })
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  for (const value of [cycle, () => 1, Symbol('s'), { big: 5n }]) {
    t.throws(() => cache.set('a', value), { instanceOf: CacheError, code: 'ERR_UNSERIALIZABLE', message: /^\$/ })
  }
  t.false(cache.has('a'))
})

test('a codec of one’s own gets every value but numbers, booleans, null and bigints', (t) => {
  const seen: unknown[] = []
  const codec: Codec = { ...packed, encode: (value) => (seen.push(value), packed.encode(value)) }
  const cache = openCache<unknown>(t, { codec })
  for (const value of ['text', '', { a: [1] }, [1, 'x']]) {
    cache.set('a', value)
    t.deepEqual(cache.get('a'), value)
    t.deepEqual(cache.getMany(['a'])[0], value)
    t.deepEqual(cache.getEntry('a')?.value, value)
    t.deepEqual(cache.take('a'), value)
  }
  for (const value of [5, -0, true, null, 5n, 2n ** 80n]) {
    cache.set('a', value)
    t.deepEqual(cache.get('a'), value)
  }
  t.is(seen.length, 4)
  t.is(cache.incr('n'), 1)
  cache.setMany([
    ['x', { a: 1 }],
    ['y', 'text'],
  ])
  t.deepEqual(cache.getMany(['x', 'y']), [{ a: 1 }, 'text'])
  t.is(cache.append('y', ' and more'), 13)
  t.deepEqual(
    cache.update('x', (value) => ({ a: (value as { a: number }).a + 1 })),
    { a: 2 },
  )
  t.is(cache.swap('y', 'z'), 'text and more')
})

test('a codec may reuse its bytes, and gets bytes of its own to keep', (t) => {
  const buffer = Buffer.alloc(100)
  const kept: Uint8Array[] = []
  const codec: Codec = {
    id: 2,
    encode: (value) => buffer.subarray(0, buffer.write(String(value))),
    decode: (bytes) => (kept.push(bytes), Buffer.from(bytes).toString()),
  }
  const cache = openCache<string>(t, { codec })
  cache.setMany([
    ['a', 'first'],
    ['b', 'second'],
  ])
  t.deepEqual(cache.getMany(['a', 'b']), ['first', 'second'])
  t.deepEqual([cache.get('a'), cache.get('b')], ['first', 'second'])
  t.deepEqual(
    kept.map((bytes) => Buffer.from(bytes).toString()),
    ['first', 'second', 'first', 'second'],
  )
})

test('a codec may use caches while it encodes and decodes', (t) => {
  const name = segmentName(t)
  const helper = openCache<unknown>(t, { name })
  helper.set('other', { text: 'x'.repeat(300) }, '1h')
  const use = (): void => {
    helper.getEntry('other')
    helper.set('written by the codec', { at: new Date() })
  }
  const codec: Codec = {
    id: 3,
    encode: (value) => (use(), Buffer.from(JSON.stringify(value))),
    decode: (bytes) => (use(), JSON.parse(Buffer.from(bytes).toString()) as unknown),
  }
  const cache = openCache<{ n: number }>(t, { name, codec })
  cache.set('a', { n: 1 }, '1m')
  const entry = cache.getEntry('a')
  t.deepEqual(entry?.value, { n: 1 })
  t.true(Math.abs((cache.ttl('a') ?? 0) - 60_000) < 10_000)
  t.true(Math.abs((entry?.expiresAt ?? 0) - Date.now() - 60_000) < 10_000, 'its own deadline')
  t.true((entry?.size ?? 0) < 200, 'its own size')
  t.true(cache.set('a', { n: 2 }, { if: { version: entry?.version ?? 0 } }), 'its own version')
  t.deepEqual(
    cache.update('a', (value) => ({ n: (value?.n ?? 0) + 1 })),
    { n: 3 },
  )
  t.deepEqual(cache.getMany(['a', 'a']), [{ n: 3 }, { n: 3 }])
})

test('what its encode throws is thrown by set, and what is not bytes is refused', (t) => {
  const cache = openCache<unknown>(t, {
    codec: {
      ...packed,
      encode: (value) => {
        if (value === 'wrong') return 'text' as never
        throw new RangeError('mine')
      },
    },
  })
  t.throws(() => cache.set('a', {}), { instanceOf: RangeError, message: 'mine' })
  t.throws(() => cache.set('a', 'wrong'), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.setMany([['a', 'wrong']]), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(cache.size, 0)
})

test('what its decode throws makes a read a miss that is told, and a strict read throw', async (t) => {
  const name = segmentName(t)
  const codec: Codec = {
    ...packed,
    decode: () => {
      throw new RangeError('mine')
    },
  }
  const cache = openCache(t, { name, codec })
  const seen: DamageEvent[] = []
  cache.on('damage', (event) => seen.push(event))
  cache.set('a', { x: 1 })
  t.is(cache.get('a'), undefined)
  t.deepEqual(cache.getMany(['a']), [undefined])
  t.is(cache.stats().degradedReads, 2)
  await eventually('both events', () => seen.length === 2)
  t.like(seen[0]?.error, { code: 'ERR_SEGMENT_CORRUPT', cause: { message: 'mine' } })
  const strict = openCache(t, { name, codec, strict: true })
  t.throws(() => strict.get('a'), { instanceOf: CacheError, code: 'ERR_SEGMENT_CORRUPT' })
})

test('a reader with another codec gets ERR_CODEC_MISMATCH for what only the other reads', (t) => {
  const name = segmentName(t)
  const codecs: [what: string, codec: OpenOptions['codec']][] = [
    ['auto', 'auto'],
    ['json', 'json'],
    ['packed', packed],
    ['other', { ...packed, id: 100 }],
  ]
  const caches = new Map<string, SharedCache>(codecs.map(([what, codec]) => [what, openCache(t, { name, codec })]))
  for (const [what, cache] of caches) cache.set(what, { by: what })
  for (const [reader, cache] of caches) {
    for (const what of caches.keys()) {
      // JSON and the structured form are read by everybody: an entry says how it was stored.
      if (what === reader || what === 'auto' || what === 'json') t.deepEqual(cache.get(what), { by: what })
      else t.throws(() => cache.get(what), { instanceOf: CacheError, code: 'ERR_CODEC_MISMATCH', message: /codec/ })
    }
    cache.set('number', 5)
    for (const other of caches.values()) t.is(other.get('number'), 5)
  }
  caches.get('auto')?.set('date', new Date(5))
  t.deepEqual(caches.get('packed')?.get('date'), new Date(5))
  t.true(caches.get('auto')?.delete('packed'), 'it may be deleted by anybody')
  t.true(caches.get('auto')?.set('other', 'and replaced'))
})

test('what is no codec is refused at open', (t) => {
  const { encode, decode } = packed
  const wrong: unknown[] = ['msgpack', 5, null, {}, { id: 1, encode }, { id: 1, decode }, { encode, decode }]
  wrong.push({ ...packed, id: 0 }, { ...packed, id: 101 }, { ...packed, id: 1.5 }, { ...packed, id: '1' })
  for (const codec of wrong) {
    t.throws(() => openCache(t, { codec: codec as Codec }), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
})
