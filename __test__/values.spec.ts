import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { CacheError } from '../index.ts'
import { openCache } from './helpers/segment.ts'

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

test('text comes back as it was, also with lone surrogates', (t) => {
  const cache = openCache(t)
  for (const text of [...TEXTS, ...LONE]) {
    cache.set('a', text)
    t.true(cache.get('a') === text, JSON.stringify(text.slice(0, 20)))
  }
})

test('numbers come back as they were, bit for bit', (t) => {
  const cache = openCache(t)
  for (const number of NUMBERS) {
    cache.set('a', number)
    t.true(Object.is(cache.get('a'), number), String(number))
  }
})

test('null and booleans come back as themselves', (t) => {
  const cache = openCache(t)
  for (const value of [null, true, false]) {
    cache.set('a', value)
    t.is(cache.get('a'), value)
    t.is(cache.take('a'), value)
  }
})

test('bigints of any size come back as they were', (t) => {
  const cache = openCache(t)
  for (const bigint of BIGINTS) {
    cache.set('a', bigint)
    t.is(cache.get('a'), bigint)
  }
})

test('bytes come back as a Buffer or a Uint8Array, as they went in', (t) => {
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

test('of a view only its own bytes are stored', (t) => {
  const cache = openCache(t)
  const whole = Buffer.from('0123456789')
  cache.set('a', whole.subarray(3, 6))
  t.deepEqual(cache.get('a'), Buffer.from('345'))
  cache.set('b', new Uint8Array(whole.buffer, whole.byteOffset + 2, 3))
  t.deepEqual(cache.get('b'), new Uint8Array([50, 51, 52]))
})

test('bytes of shared memory are copied in', (t) => {
  const cache = openCache(t)
  const shared = new Uint8Array(new SharedArrayBuffer(100)).fill(7)
  cache.set('a', shared)
  shared.fill(8)
  t.deepEqual(cache.get('a'), new Uint8Array(100).fill(7))
})

test('every get has bytes of its own, and the caller keeps his', (t) => {
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

test('the order of properties stays', (t) => {
  const cache = openCache(t)
  cache.set('a', { z: 1, a: 2, 5: 3, 4: 4 })
  t.deepEqual(Object.keys(cache.get('a') as object), ['4', '5', 'z', 'a'])
})

test('an object without a prototype and one of another realm are plain', (t) => {
  const cache = openCache(t)
  cache.set('a', Object.assign(Object.create(null) as object, { x: 1 }))
  t.deepEqual(cache.get('a'), { x: 1 })
  cache.set('b', runInNewContext('({ x: [1, { y: 2 }] })'))
  t.deepEqual(cache.get('b'), { x: [1, { y: 2 }] })
})

test('__proto__ and its kind are data', (t) => {
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

test('a value may be reached twice, it is only stored twice', (t) => {
  const cache = openCache(t)
  const twice = { x: 1 }
  cache.set('a', [twice, twice])
  t.deepEqual(cache.get('a'), [{ x: 1 }, { x: 1 }])
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

const cycle: { self?: unknown; list: unknown[] } = { list: [{}] }
cycle.self = cycle
const deepCycle: { a: { b: unknown[] } } = { a: { b: [0] } }
deepCycle.a.b.push(deepCycle.a)

const REFUSED: [what: string, value: unknown, path: string, why: RegExp][] = [
  ['a function', () => 1, '$', /a function/],
  ['a symbol', Symbol('s'), '$', /a symbol/],
  ['a class instance', new Point(), '$', /Point/],
  ['a Map', new Map(), '$', /Map/],
  ['a Set', new Set(), '$', /Set/],
  ['a Date', new Date(), '$', /Date/],
  ['a RegExp', /x/, '$', /RegExp/],
  ['an Error', new Error('x'), '$', /Error/],
  ['a Promise', Promise.resolve(), '$', /Promise/],
  ['an ArrayBuffer', new ArrayBuffer(8), '$', /ArrayBuffer/],
  ['a Float64Array', new Float64Array(8), '$', /Float64Array/],
  ['a DataView', new DataView(new ArrayBuffer(8)), '$', /DataView/],
  ['a boxed string', Object('x'), '$', /String/],
  ['an array of a class of its own', new (class List extends Array {})(), '$', /List/],
  ['an object that inherits data', Object.create({ inherited: 1 }), '$', /Object|plain/],
  ['undefined inside', { user: { name: undefined } }, '$.user.name', /undefined/],
  ['a Date inside', { user: { tags: ['a', 'b', 'c', new Date()] } }, '$.user.tags[3]', /Date/],
  ['a function inside', { a: [{ f() {} }] }, '$.a[0].f', /function/],
  ['a toJSON', { toJSON: () => 1 }, '$.toJSON', /function/],
  ['a bigint inside', [[1n]], '$[0][0]', /bigint/],
  ['a Buffer inside', { b: Buffer.from('x') }, '$.b', /Buffer/],
  ['NaN inside', { a: Number.NaN }, '$.a', /NaN/],
  ['Infinity inside', [1, -Infinity], '$[1]', /Infinity/],
  ['-0 inside', { a: { b: -0 } }, '$.a.b', /-0/],
  ['a hole', [1, , 3], '$[1]', /hole/], // eslint-disable-line no-sparse-arrays
  ['undefined in an array', [1, undefined], '$[1]', /undefined/],
  ['a named property of an array', Object.assign([1], { name: 1 }), '$.name', /named property/],
  ['a match', 'abc'.match(/b/), '$.groups', /named property/],
  ['a property named by a symbol', { a: { [Symbol('s')]: 1 } }, '$.a[Symbol(s)]', /symbol/],
  ['a name that is no identifier', { 'a b': { 'c-d': undefined } }, '$["a b"]["c-d"]', /undefined/],
  ['a cycle', cycle, '$.self', /cycle/],
  ['a cycle further in', deepCycle, '$.a.b[1]', /cycle/],
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

test('what is nested too deeply is refused, what is nested deeply is not', (t) => {
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

test('what a getter throws passes through', (t) => {
  const cache = openCache(t)
  const value = {
    get secret(): string {
      throw new RangeError('not yours')
    },
  }
  t.throws(() => cache.set('a', value), { instanceOf: RangeError, message: 'not yours' })
})

test('a value of every kind survives take, peek and getEntry', (t) => {
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
