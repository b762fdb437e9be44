/**
 * Keys: which texts and bytes are keys, and which are refused.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { Key, SharedCache } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { openCache } from '../helpers/segment.ts'
import { UNUSUAL_KEYS } from '../helpers/unusual-keys.ts'

/** Every method that takes a key. */
const METHODS: [name: string, call: (cache: SharedCache, key: Key) => unknown][] = [
  ['get', (cache, key) => cache.get(key)],
  ['peek', (cache, key) => cache.peek(key)],
  ['has', (cache, key) => cache.has(key)],
  ['getEntry', (cache, key) => cache.getEntry(key)],
  ['set', (cache, key) => cache.set(key, 1)],
  ['add', (cache, key) => cache.add(key, 1)],
  ['replace', (cache, key) => cache.replace(key, 1)],
  ['delete', (cache, key) => cache.delete(key)],
  ['take', (cache, key) => cache.take(key)],
  ['touch', (cache, key) => cache.touch(key, 1000)],
  ['persist', (cache, key) => cache.persist(key)],
  ['ttl', (cache, key) => cache.ttl(key)],
  ['incr', (cache, key) => cache.incr(key)],
]

test('keys are any text, byte for byte', (t) => {
  const cache = openCache(t)
  const keys = UNUSUAL_KEYS
  for (const [index, key] of keys.entries()) cache.set(key, index)
  t.is(cache.size, keys.length)
  for (const [index, key] of keys.entries()) t.is(cache.get(key), index, JSON.stringify(key))
})

test('texts that differ only in their normal form are two keys', (t) => {
  const cache = openCache(t)
  cache.set('\u00e9', 1)
  t.false(cache.has('e\u0301'))
})

test('a text and its UTF-8 bytes are one key', (t) => {
  const cache = openCache(t)
  for (const text of ['a', 'é€😀']) {
    cache.set(text, 1)
    t.is(cache.get(Buffer.from(text)), 1)
    t.true(cache.delete(new TextEncoder().encode(text)))
    t.false(cache.has(text))
  }
})

test('bytes that are not UTF-8 are keys of their own', (t) => {
  const cache = openCache(t)
  const keys = [Buffer.from([0xff]), Buffer.from([0xff, 0xff]), Buffer.from([0]), Buffer.from([0xed, 0xa0, 0x80])]
  for (const [index, key] of keys.entries()) cache.set(key, index)
  for (const [index, key] of keys.entries()) t.is(cache.get(key), index)
})

test('only the bytes of a view itself are the key', (t) => {
  const cache = openCache(t)
  const whole = Buffer.from('abcdef')
  cache.set(whole.subarray(1, 3), 1)
  t.is(cache.get('bc'), 1)
})

test('keys of 1 byte to 8 KiB work', (t) => {
  const cache = openCache(t)
  for (const key of ['x', 'x'.repeat(8192), 'é'.repeat(4096), Buffer.alloc(8192, 1), `${'€'.repeat(2730)}ab`]) {
    t.true(cache.set(key, 'value'))
    t.is(cache.get(key), 'value')
    t.true(cache.delete(key))
  }
})

test('long keys that differ in the last byte are two keys', (t) => {
  const cache = openCache(t)
  const long = 'x'.repeat(8191)
  cache.set(`${long}a`, 'a')
  cache.set(`${long}b`, 'b')
  t.is(cache.get(`${long}a`), 'a')
  t.is(cache.get(`${long}b`), 'b')
})

test('U+FFFD in a key is a character like any other', (t) => {
  const cache = openCache(t)
  const key = 'before\uFFFDafter'
  t.true(cache.set(key, Buffer.alloc(300_000, 1)))
  t.true(isDeepStrictEqual(cache.get(key), Buffer.alloc(300_000, 1)))
  t.true(isDeepStrictEqual(cache.getEntry(key)?.value, Buffer.alloc(300_000, 1)))
  t.true(cache.has(key))
  t.true(cache.touch(key, '1h'))
  t.true((cache.ttl(key) ?? 0) > 3_000_000)
  t.true(isDeepStrictEqual(cache.take(key), Buffer.alloc(300_000, 1)))
  t.is(cache.incr(key), 1)
  t.true(cache.delete(key))
})

for (const [name, call] of METHODS) {
  test(`${name} refuses a wrong key`, (t) => {
    const cache = openCache(t)
    cache.set('kept', 1)
    const wrong: unknown[] = [
      undefined,
      null,
      5,
      true,
      5n,
      {},
      ['a'],
      Symbol('a'),
      () => 'a',
      new Uint16Array(1),
      new ArrayBuffer(1),
    ]
    wrong.push('', Buffer.alloc(0), new Uint8Array(0))
    wrong.push('\uD800', 'a\uDC00', '\uDE00\uD83D')
    for (const key of wrong) {
      t.throws(() => call(cache, key as Key), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' }, String(key))
    }
    for (const key of [
      'x'.repeat(8193),
      'é'.repeat(4097),
      Buffer.alloc(8193),
      'x'.repeat(65_536),
      'x'.repeat(10_000_000),
    ]) {
      t.throws(() => call(cache, key), { instanceOf: CacheError, code: 'ERR_KEY_TOO_LONG' })
    }
    t.is(cache.get('kept'), 1)
    t.is(cache.size, 1)
  })
}

test('waitFor refuses a wrong key', async (t) => {
  const cache = openCache(t)
  for (const key of ['', '\uD800', 5, null, Buffer.alloc(0)]) {
    await t.throwsAsync(cache.waitFor(key as Key), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  await t.throwsAsync(cache.waitFor('x'.repeat(8193)), { code: 'ERR_KEY_TOO_LONG' })
})

test('a byte key may be changed once the call has returned', async (t) => {
  const cache = openCache(t)
  const key = Buffer.from('abc')
  cache.set(key, 1)
  key.fill('x')
  t.is(cache.get('abc'), 1)

  const awaited = Buffer.from('def')
  const entry = within('the entry', cache.waitFor(awaited))
  awaited.fill('x')
  cache.set('def', 2)
  t.is((await entry).value, 2)
})
