/**
 * Values: every kind comes back as it was, or is refused with the path to it.
 */
import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { CacheError } from '../../index.ts'
import { openCache } from '../helpers/segment.ts'

const TEXTS = [
  '',
  'a',
  'é',
  '€',
  '😀',
  'mixed é € 😀 text',
  '\0',
  'x'.repeat(100_000),
  'ü'.repeat(100_000),
  '\uFFFD',
  '\uFEFFbom',
]

const LONE = ['\uD800', '\uDC00', 'a\uD83D', '\uDE00b', 'x\uD800y\uDC00z']

const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.1,
  5e-324,
  Number.MAX_VALUE,
  Number.MAX_SAFE_INTEGER,
  2 ** 53 + 2,
  Infinity,
  -Infinity,
  Number.NaN,
]

const BIGINTS = [
  0n,
  1n,
  -1n,
  2n ** 63n - 1n,
  -(2n ** 63n),
  2n ** 63n,
  -(2n ** 63n) - 1n,
  2n ** 64n,
  3n ** 500n,
  -(3n ** 500n),
]

test('text comes back unchanged, also with lone surrogates', (t) => {
  const cache = openCache(t)
  for (const text of [...TEXTS, ...LONE]) {
    cache.set('a', text)
    t.true(cache.get('a') === text, JSON.stringify(text.slice(0, 20)))
  }
})

test('numbers come back unchanged, bit for bit', (t) => {
  const cache = openCache(t)
  for (const number of NUMBERS) {
    cache.set('a', number)
    t.true(Object.is(cache.get('a'), number), String(number))
  }
})

test('null and booleans come back unchanged', (t) => {
  const cache = openCache(t)
  for (const value of [null, true, false]) {
    cache.set('a', value)
    t.is(cache.get('a'), value)
    t.is(cache.take('a'), value)
  }
})

test('bigints of any size come back unchanged', (t) => {
  const cache = openCache(t)
  for (const bigint of BIGINTS) {
    cache.set('a', bigint)
    t.is(cache.get('a'), bigint)
  }
})

test('bytes come back as a Buffer or a Uint8Array, as they were stored', (t) => {
  const cache = openCache(t)
  for (const length of [0, 1, 63, 64, 65, 1000, 65_535, 65_536, 65_537, 1_000_000]) {
    const bytes = Uint8Array.from({ length }, (_, index) => index * 7)
    cache.set('array', bytes)
    cache.set('buffer', Buffer.from(bytes))
    const array = cache.get('array')
    const buffer = cache.get('buffer')
    t.true(array instanceof Uint8Array && !Buffer.isBuffer(array), `${length}`)
    t.true(Buffer.isBuffer(buffer), `${length}`)
    t.true(Buffer.compare(array as Uint8Array, bytes) === 0, `${length}`)
    t.true(Buffer.compare(buffer as Uint8Array, bytes) === 0, `${length}`)
    t.true(isDeepStrictEqual(cache.take('array'), bytes))
    t.true(isDeepStrictEqual(cache.take('buffer'), Buffer.from(bytes)))
  }
})

test('only the bytes of a view itself are stored', (t) => {
  const cache = openCache(t)
  const whole = Buffer.from('0123456789')
  cache.set('a', whole.subarray(3, 6))
  t.deepEqual(cache.get('a'), Buffer.from('345'))
  cache.set('b', new Uint8Array(whole.buffer, whole.byteOffset + 2, 3))
  t.deepEqual(cache.get('b'), new Uint8Array([50, 51, 52]))
})

test('bytes of shared memory are copied', (t) => {
  const cache = openCache(t)
  const shared = new Uint8Array(new SharedArrayBuffer(100)).fill(7)
  cache.set('a', shared)
  shared.fill(8)
  t.deepEqual(cache.get('a'), new Uint8Array(100).fill(7))
})

test('every get returns bytes of its own, and the caller keeps the stored bytes', (t) => {
  const cache = openCache<Uint8Array>(t)
  for (const length of [10, 200_000]) {
    const mine = Buffer.alloc(length, 1)
    cache.set('a', mine)
    mine.fill(2)
    const first = cache.get('a')
    const second = cache.get('a')
    first?.fill(3)
    t.is(second?.[0], 1)
    t.is(cache.get('a')?.[0], 1)
    t.is(cache.get('a')?.buffer === second?.buffer && cache.get('a')?.byteOffset === second?.byteOffset, false)
  }
})

test('plain objects and arrays of JSON data come back equal and fresh', (t) => {
  const cache = openCache(t)
  const values = [
    {},
    [],
    [[[]]],
    { a: { b: { c: [1, 'x', null, true, { d: -1.5e-7 }] } } },
    { '': 1, ' ': 2, 'a.b': 3, '\u2028': 4, 'é€😀': 5, 10: 6, 9: 7 },
    { lone: '\uD800', '\uDC00': 1 },
    [Number.MAX_VALUE, Number.MIN_VALUE, 0, -1],
    Array.from({ length: 10_000 }, (_, index) => ({ index })),
  ]
  for (const value of values) {
    cache.set('a', value)
    t.true(isDeepStrictEqual(cache.get('a'), value))
    t.not(cache.get('a'), cache.get('a'))
  }
})

test('the order of properties is kept', (t) => {
  const cache = openCache(t)
  cache.set('a', { z: 1, a: 2, 5: 3, 4: 4 })
  t.deepEqual(Object.keys(cache.get('a') as object), ['4', '5', 'z', 'a'])
})

test('an object without a prototype comes back without one, and an object of another realm comes back plain', (t) => {
  const cache = openCache(t)
  cache.set('a', Object.assign(Object.create(null) as object, { x: 1 }))
  t.is(Object.getPrototypeOf(cache.get('a')), null)
  t.is(JSON.stringify(cache.get('a')), '{"x":1}')
  cache.set('b', runInNewContext('({ x: [1, { y: 2 }] })'))
  t.deepEqual(cache.get('b'), { x: [1, { y: 2 }] })
})

test('__proto__ and similar names are data', (t) => {
  const cache = openCache(t)
  const value: unknown = JSON.parse(
    '{"__proto__":{"polluted":true},"constructor":1,"prototype":2,"toString":3,"a":{"__proto__":4}}',
  )
  cache.set('a', value)
  const found = cache.get('a') as Record<string, unknown>
  t.true(Object.hasOwn(found, '__proto__'))
  t.is(Object.getPrototypeOf(found), Object.prototype)
  t.deepEqual(Object.keys(found), ['__proto__', 'constructor', 'prototype', 'toString', 'a'])
  t.is(JSON.stringify(found), JSON.stringify(value))
  t.is(({} as { polluted?: boolean }).polluted, undefined)
})

test('two references to one object come back as references to one object', (t) => {
  const cache = openCache<object[]>(t)
  const twice = { x: 1 }
  cache.set('a', [twice, twice, { x: 1 }])
  const [first, second, third] = cache.get('a') ?? []
  t.deepEqual(first, { x: 1 })
  t.is(second, first)
  t.not(third, first)
})

test('a cycle comes back as a cycle', (t) => {
  const cache = openCache<{ self: unknown; list: unknown[] }>(t)
  const cycle: { self?: unknown; list: unknown[] } = { list: [{}] }
  cycle.self = cycle
  cycle.list.push(cycle.list)
  cache.set('a', cycle as { self: unknown; list: unknown[] })
  const found = cache.get('a')
  t.is(found?.self, found)
  t.is(found?.list[1], found?.list)
})

test('undefined is refused, and nothing changes', (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  for (const call of [
    () => cache.set('a', undefined),
    () => cache.add('b', undefined),
    () => cache.replace('a', undefined),
  ]) {
    t.throws(call, { instanceOf: CacheError, code: 'ERR_UNDEFINED_VALUE' })
  }
  t.is(cache.get('a'), 1)
  t.false(cache.has('b'))
})

class Point {
  readonly x = 1
}

const REFUSED: [what: string, value: unknown, path: string, why: RegExp][] = [
  ['a function', () => 1, '$', /a function/],
  ['a symbol', Symbol('s'), '$', /a symbol/],
  ['a class instance', new Point(), '$', /Point/],
  ['a Promise', Promise.resolve(), '$', /Promise/],
  ['a WeakMap', new WeakMap(), '$', /WeakMap/],
  ['a boxed string', Object('x'), '$', /String/],
  ['an instance of a subclass of Array', new (class List extends Array {})(), '$', /List/],
  ['an instance of a subclass of Map', new (class Index extends Map {})(), '$', /Index/],
  ['an instance of a subclass of Error', new (class Trouble extends Error {})('x'), '$', /Trouble/],
  ['an object that inherits data', Object.create({ inherited: 1 }), '$', /Object|plain/],
  ['a function inside', { a: [{ f() {} }] }, '$.a[0].f', /function/],
  ['a toJSON', { toJSON: () => 1 }, '$.toJSON', /function/],
  ['a class instance beside a Date', { user: { tags: ['a', new Date(), new Point()] } }, '$.user.tags[2]', /Point/],
  ['a symbol in a Map', { m: new Map([[1, Symbol('s')]]) }, '$.m.values()[0]', /symbol/],
  ['a function as the key of a Map', new Map([[() => 1, 1]]), '$.keys()[0]', /function/],
  ['a promise in a Set', new Set([1, Promise.resolve()]), '$.values()[1]', /Promise/],
  ['a function as the cause of an error', new Error('x', { cause: () => 1 }), '$.cause', /function/],
  ['a property named by a symbol', { a: { [Symbol('s')]: 1 } }, '$.a[Symbol(s)]', /symbol/],
  ['a name that is no identifier', { 'a b': { 'c-d': () => 1 } }, '$["a b"]["c-d"]', /function/],
]

for (const [what, value, path, why] of REFUSED) {
  test(`${what} is refused with the path to it`, (t) => {
    const cache = openCache(t)
    cache.set('a', 1)
    const error = t.throws(() => cache.set('a', value), { instanceOf: CacheError, code: 'ERR_UNSERIALIZABLE' })
    t.true(error?.message.startsWith(`${path} `), error?.message)
    t.regex(error?.message ?? '', why)
    t.is(cache.get('a'), 1)
  })
}

/** Values that JSON would change or refuse. `codec-roundtrip.spec.ts` covers every kind, nested and generated. */
const KEPT: [what: string, value: unknown][] = [
  ['a Map', new Map<unknown, unknown>([[{ key: 1 }, new Map([['x', 1]])]])],
  ['a Set', new Set([1, 'a', null])],
  ['a Date', new Date(1)],
  ['a RegExp', /x\/y+/giu],
  ['an Error with its cause', new RangeError('outer', { cause: new TypeError('inner') })],
  ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
  ['a Float64Array', new Float64Array([0.5, -0, Number.NaN])],
  ['a DataView', new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2)],
  ['undefined inside', { user: { name: undefined } }],
  ['undefined in an array', [1, undefined]],
  ['a hole', [1, , 3]], // eslint-disable-line no-sparse-arrays
  ['a named property of an array', Object.assign([1], { name: 1 })],
  ['a bigint inside', [[1n, 2n ** 100n]]],
  ['bytes inside', { buffer: Buffer.from('x'), array: new Uint8Array([1]) }],
  ['NaN, infinities and -0 inside', { a: [Number.NaN, Infinity, -Infinity, -0] }],
]

for (const [what, value] of KEPT) {
  test(`${what} comes back unchanged by every way of reading`, (t) => {
    const cache = openCache(t)
    const equals = (found: unknown): boolean => t.true(isDeepStrictEqual(found, value))
    cache.set('a', value)
    equals(cache.get('a'))
    equals(cache.peek('a'))
    equals(cache.getEntry('a')?.value)
    equals(cache.getMany(['a'])[0])
    equals(new Map(cache.entries()).get('a'))
    equals(cache.take('a'))
    cache.setMany([['a', value]])
    equals(cache.swap('a', 1))
  })
}

test('a large value with objects and bytes comes back whole', (t) => {
  const cache = openCache(t)
  const value = {
    list: Array.from({ length: 20_000 }, (_, i) => ({ i, at: new Date(i) })),
    bytes: Buffer.alloc(200_000, 3),
  }
  cache.set('a', value)
  t.true(isDeepStrictEqual(cache.get('a'), value))
  t.true(isDeepStrictEqual(cache.getMany(['a'])[0], value))
  t.true(isDeepStrictEqual(cache.take('a'), value))
})

test('900 levels are stored, and 100,000 levels are refused', (t) => {
  const cache = openCache(t)
  const nested = (depth: number): unknown => {
    let value: unknown = 1
    for (let i = 0; i < depth; i++) value = [value]
    return value
  }
  cache.set('a', nested(900))
  t.deepEqual(cache.get('a'), nested(900))
  t.throws(() => cache.set('a', nested(100_000)), { code: 'ERR_UNSERIALIZABLE', message: /levels/ })
  t.deepEqual(cache.get('a'), nested(900))
})

test('an error that a getter throws passes through', (t) => {
  const cache = openCache(t)
  const value = {
    get secret(): string {
      throw new RangeError('not yours')
    },
  }
  t.throws(() => cache.set('a', value), { instanceOf: RangeError, message: 'not yours' })
})

test('a value of every kind comes back from take, peek and getEntry', (t) => {
  const cache = openCache(t)
  for (const value of [
    'text',
    5,
    -0,
    null,
    true,
    5n,
    2n ** 70n,
    Buffer.alloc(100_000, 1),
    new Uint8Array(3),
    { a: [1] },
  ]) {
    cache.set('a', value)
    t.true(isDeepStrictEqual(cache.peek('a'), value))
    t.true(isDeepStrictEqual(cache.getEntry('a')?.value, value))
    t.true(isDeepStrictEqual(cache.take('a'), value))
    t.false(cache.has('a'))
  }
})
