/**
 * The option `codec`: 'auto', 'json' and custom codecs, side by side in one segment.
 */
import { randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { Codec, DamageEvent, MismatchEvent, OpenOptions, SharedCache } from '../../index.ts'
import { listen } from '../helpers/channel-messages.ts'
import { eventually } from '../helpers/eventually.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

const packed: Codec = {
  id: 1,
  encode: (value) => deflateRawSync(JSON.stringify(value)),
  decode: (bytes) => JSON.parse(inflateRawSync(bytes).toString()) as unknown,
}

test("'json' stores objects as JSON.stringify writes them, and all other values unchanged", (t) => {
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

test("'json' refuses values without a JSON text, and gives the reason", (t) => {
  const cache = openCache<unknown>(t, { codec: 'json' })
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  for (const value of [cycle, () => 1, Symbol('s'), { big: 5n }]) {
    t.throws(() => cache.set('a', value), { instanceOf: CacheError, code: 'ERR_UNSERIALIZABLE', message: /^\$/ })
  }
  t.false(cache.has('a'))
})

test('a custom codec gets every value except numbers, booleans, null and bigints', (t) => {
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

test('a codec may reuse its buffer, and the bytes that it decodes are its own to keep', (t) => {
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

test('set passes on an error of encode, and refuses a result that is not bytes', (t) => {
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

test('an error of decode makes a read a miss with a damage event, and a strict read throw', async (t) => {
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

const CODECS: [what: string, codec: OpenOptions['codec']][] = [
  ['auto', 'auto'],
  ['json', 'json'],
  ['packed', packed],
  ['other', { ...packed, id: 100 }],
]

for (const strict of [false, true]) {
  const outcome = strict ? 'throws ERR_CODEC_MISMATCH' : 'misses'
  test(`a reader with another codec ${outcome} for values that only the other codec can read`, (t) => {
    const name = segmentName(t)
    const caches = new Map<string, SharedCache>(
      CODECS.map(([what, codec]) => [what, openCache(t, { name, codec, strict })]),
    )
    for (const [what, cache] of caches) cache.set(what, { by: what })
    for (const [reader, cache] of caches) {
      for (const what of caches.keys()) {
        // Every codec reads JSON and the structured form: an entry records how it was stored.
        if (what === reader || what === 'auto' || what === 'json') t.deepEqual(cache.get(what), { by: what })
        else if (strict)
          t.throws(() => cache.get(what), { instanceOf: CacheError, code: 'ERR_CODEC_MISMATCH', message: /codec/ })
        else t.is(cache.get(what), undefined)
      }
      cache.set('number', 5)
      for (const other of caches.values()) t.is(other.get('number'), 5)
    }
    caches.get('auto')?.set('date', new Date(5))
    t.deepEqual(caches.get('packed')?.get('date'), new Date(5))
    t.true(caches.get('auto')?.delete('packed'), 'a reader with any codec may delete it')
    t.true(caches.get('auto')?.set('other', 'and replaced'))
  })
}

test('each read of a value of another codec is a miss, which is counted and announced', async (t) => {
  const name = segmentName(t)
  for (const near of [{}, false, { objects: 'frozen' }] as const) {
    const old = openCache(t, { name, near })
    const told = listen(t, name, 'mismatch')
    const seen: MismatchEvent[] = []
    old.on('mismatch', (event) => seen.push(event))
    const renewed = openCache(t, { name, codec: packed })
    renewed.set('a', { x: 1 })
    renewed.set('large', { text: randomBytes(200_000).toString('hex') })
    for (const key of ['a', 'large']) {
      t.is(old.get(key), undefined)
      t.is(old.peek(key), undefined)
      t.is(old.getEntry(key), undefined)
      t.deepEqual(old.getMany([key]), [undefined])
    }
    t.deepEqual([...old.entries()], [])
    await turn()
    t.like(old.stats(), { mismatchedReads: 10, degradedReads: 0 })
    t.is(seen.length, 10)
    t.is(told.length, 10)
    t.like(seen[0], { key: 'a', error: { code: 'ERR_CODEC_MISMATCH' } })
    t.like(told[0]?.[1], { key: 'a', error: { code: 'ERR_CODEC_MISMATCH' } })
    t.deepEqual(renewed.get('a'), { x: 1 })
    told.stop()
    old.close()
    renewed.clear()
  }
})

test('getOrSet and waitFor do without a value of another codec', async (t) => {
  const name = segmentName(t)
  const old = openCache<unknown>(t, { name })
  const renewed = openCache<unknown>(t, { name, codec: packed })
  renewed.set('a', { x: 1 })
  t.deepEqual(await old.getOrSet('a', () => ({ x: 2 })), { x: 2 })
  t.deepEqual(old.get('a'), { x: 2 })
  t.deepEqual(renewed.get('a'), { x: 2 })

  renewed.set('b', { x: 1 }, { ttl: '1h', stale: '1h' })
  t.deepEqual(await old.getOrSet('b', ({ stale }) => [stale], { stale: '1h', refreshAhead: 0.5, timeout: 50 }), [
    undefined,
  ])

  renewed.set('c', { x: 1 })
  const waiting = old.waitFor('c', { timeout: '10s' })
  await turn()
  old.set('c', 'readable')
  t.is((await waiting).value, 'readable')
  const strict = openCache(t, { name, strict: true })
  renewed.set('d', { x: 1 })
  await t.throwsAsync(strict.getOrSet('d', () => 1) as Promise<unknown>, { code: 'ERR_CODEC_MISMATCH' })
  await t.throwsAsync(strict.waitFor('d', { timeout: '10s' }) as Promise<unknown>, { code: 'ERR_CODEC_MISMATCH' })
})

test('what replaces or consumes a value of another codec does as for a missing key, and counts', (t) => {
  const name = segmentName(t)
  const old = openCache<unknown>(t, { name })
  const renewed = openCache<unknown>(t, { name, codec: packed })
  const large = { text: randomBytes(200_000).toString('hex') }
  let mismatched = 0
  const each = (run: (key: string) => void): void => {
    for (const [key, value] of Object.entries({ small: { x: 1 }, large })) {
      renewed.set(key, value, { ttl: '1h', tags: ['of the old value'] })
      run(key)
      t.is(old.stats().mismatchedReads, ++mismatched)
      old.invalidateTags(['of the old value'])
    }
  }
  each((key) => {
    t.is(old.take(key), undefined)
    t.false(renewed.has(key), 'it was removed')
  })
  each((key) => {
    t.is(old.swap(key, [2]), undefined)
    t.deepEqual(renewed.get(key), [2])
  })
  each((key) => {
    t.deepEqual(
      old.update(key, (value) => [value ?? 'none']),
      ['none'],
    )
    t.is(old.ttl(key), Infinity, 'the lifetime is that of a new entry')
    t.is(old.invalidateTags(['of the old value']), undefined)
    t.deepEqual(old.get(key), ['none'], 'so are the tags')
  })
  each((key) => {
    t.is(old.append(key, 'xy'), 2)
    t.is(old.get(key), 'xy')
  })
  // A number or bigint is readable with every codec, so this entry is none.
  renewed.set('a', { x: 1 })
  t.throws(() => old.incrBigInt('a', 1n), { code: 'ERR_NOT_A_NUMBER' })
  t.throws(() => old.incr('a'), { code: 'ERR_NOT_A_NUMBER' })
  t.deepEqual(renewed.get('a'), { x: 1 })
  t.true(old.set('a', 1))
  t.is(old.incr('a'), 2)
})

test('an update that meets a value of another codec does not overwrite a newer one', (t) => {
  const name = segmentName(t)
  const old = openCache<unknown>(t, { name })
  const renewed = openCache<unknown>(t, { name, codec: packed })
  renewed.set('a', { x: 1 })
  const seen: unknown[] = []
  old.update('a', (value) => {
    if (seen.push(value) === 1) old.set('a', 'newer')
    return `${String(value)}, updated`
  })
  t.deepEqual(seen, [undefined, 'newer'])
  t.is(old.get('a'), 'newer, updated')
})

test('a strict cache throws for a value of another codec, and loses nothing', (t) => {
  const name = segmentName(t)
  const strict = openCache<unknown>(t, { name, strict: true })
  const renewed = openCache<unknown>(t, { name, codec: packed })
  const values = { small: { x: 1 }, large: { text: randomBytes(200_000).toString('hex') } }
  for (const [key, value] of Object.entries(values)) {
    renewed.set(key, value)
    for (const call of [
      () => strict.take(key),
      () => strict.swap(key, 1),
      () => strict.set(key, 1, { ttl: '1h' }) && renewed.set(key, value) && strict.swap(key, 1),
      () => strict.update(key, () => 1),
      () => strict.append(key, 'x'),
      () => strict.incrBigInt(key, 1n),
      () => [...strict.entries()],
    ]) {
      t.throws(call, { code: 'ERR_CODEC_MISMATCH' })
    }
    t.throws(() => strict.incr(key), { code: 'ERR_NOT_A_NUMBER' })
    t.deepEqual(renewed.get(key), value)
    t.deepEqual(renewed.take(key), value)
  }
  strict.set('own', { x: 1 })
  t.deepEqual(strict.take('own'), { x: 1 })
  t.is(strict.take('own'), undefined)
})

test('results of once and changes of watch do not depend on the codec', async (t) => {
  const name = segmentName(t)
  const old = openCache<unknown>(t, { name })
  const renewed = openCache<unknown>(t, { name, codec: packed })
  t.deepEqual(await renewed.once('job', () => ({ done: 1 })), { done: 1 })
  t.deepEqual(await old.once('job', () => ({ done: 2 })), { done: 1 })
  const changes = old.watch()[Symbol.asyncIterator]()
  const change = changes.next()
  renewed.set('a', { x: 1 })
  t.like((await change).value, { type: 'set', key: 'a' })
  await changes.return?.()
})

test('open refuses a wrong codec', (t) => {
  const { encode, decode } = packed
  const wrong: unknown[] = ['msgpack', 5, null, {}, { id: 1, encode }, { id: 1, decode }, { encode, decode }]
  wrong.push({ ...packed, id: 0 }, { ...packed, id: 101 }, { ...packed, id: 1.5 }, { ...packed, id: '1' })
  for (const codec of wrong) {
    t.throws(() => openCache(t, { codec: codec as Codec }), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
})
