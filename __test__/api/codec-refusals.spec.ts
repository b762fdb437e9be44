/**
 * Values that cannot be stored are refused with the path to them.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { CacheError } from '../../index.ts'
import { bytesOf, resizableBuffer, roundTrip, symbol } from '../helpers/codec-values.ts'
import { encodeStructured, plainText, units } from '../helpers/internals.ts'

function refuses(t: ExecutionContext, value: unknown, path: string, why: RegExp): void {
  t.is(plainText(value), undefined)
  const error = t.throws(() => encodeStructured(value as object), {
    instanceOf: CacheError,
    code: 'ERR_UNSERIALIZABLE',
  })
  t.true(error?.message.startsWith(`${path} `), error?.message)
  t.regex(error?.message ?? '', why)
}

function nested(depth: number, wrap: (inner: unknown) => object): object {
  let value: unknown = 1
  for (let i = 0; i < depth; i++) value = wrap(value)
  return value as object
}

class Point {
  readonly x = 1
}

function detachedBuffer(): ArrayBuffer {
  const buffer = new ArrayBuffer(8)
  structuredClone(buffer, { transfer: [buffer] })
  return buffer
}

function viewOfDetached<T>(View: new (buffer: ArrayBuffer) => T): T {
  const buffer = new ArrayBuffer(8)
  const view = new View(buffer)
  structuredClone(buffer, { transfer: [buffer] })
  return view
}

function outOfBounds(): Uint8Array {
  const buffer = resizableBuffer(8, 8)
  const view = new Uint8Array(buffer, 4, 4)
  ;(buffer as ArrayBuffer & { resize(length: number): void }).resize(2)
  return view
}

function argumentsOf(..._: unknown[]): unknown {
  return arguments
}

function aView(): DataView {
  return new DataView(new ArrayBuffer(1))
}

function withPrototype<T extends object>(value: T, prototype: object): T {
  return Object.setPrototypeOf(value, prototype) as T
}

const REFUSED: [what: string, value: unknown, path: string, why: RegExp][] = [
  ['a function', () => 1, '$', /a function/],
  ['a class', { Point }, '$.Point', /a function/],
  ['a symbol', symbol, '$', /a symbol/],
  ['a symbol inside', { a: [0, 1, { b: symbol }] }, '$.a[2].b', /a symbol/],
  ['a property named by a symbol', { a: { [symbol]: 1 } }, '$.a[Symbol(s)]', /symbol/],
  ['an element named by a symbol', [Object.assign([1], { [symbol]: 1 })], '$[0][Symbol(s)]', /symbol/],
  ['a Map with a symbol', Object.assign(new Map(), { [symbol]: 1 }), '$[Symbol(s)]', /symbol/],
  ['an Error with a symbol', Object.assign(new Error('x'), { [symbol]: 1 }), '$[Symbol(s)]', /symbol/],
  ['a typed array with a symbol', Object.assign(new Int8Array(1), { [symbol]: 1 }), '$[Symbol(s)]', /symbol/],
  ['a class instance', new Point(), '$', /an instance of Point/],
  ['an object that inherits data', Object.create({ inherited: 1 }), '$', /Object|plain/],
  ['an instance of a class without a prototype', Object.create(Object.create(null) as object), '$', /plain/],
  ['an instance of a subclass of Array', new (class List extends Array {})(), '$', /List/],
  ['an instance of a subclass of Map', { m: new (class Index extends Map {})() }, '$.m', /Index/],
  ['an instance of a subclass of Date', new (class Day extends Date {})(), '$', /Day/],
  ['an instance of a subclass of Error', { e: new (class Failure extends Error {})() }, '$.e', /Failure/],
  ['an Error of this package', new CacheError('ERR_BUSY', 'm'), '$', /CacheError/],
  ['a DOMException', new DOMException('m'), '$', /DOMException/],
  ['an instance of a subclass of Uint8Array', [new (class Bytes extends Uint8Array {})(1)], '$[0]', /Bytes/],
  ['an object with the prototype of Map', Object.create(Map.prototype), '$', /Map/],
  ['an object with the prototype of Date', Object.create(Date.prototype), '$', /Date/],
  ['an object with the prototype of Error', Object.create(Error.prototype), '$', /Error/],
  ['an object with the prototype of Array', Object.create(Array.prototype), '$', /Array/],
  ['a boxed string', Object('x'), '$', /String/],
  ['a boxed number', [Object(1)], '$[0]', /Number/],
  ['a boxed bigint', Object(1n), '$', /BigInt/],
  ['a boxed symbol', Object(symbol), '$', /Symbol/],
  ['a Promise', { p: Promise.resolve() }, '$.p', /Promise/],
  ['a WeakMap', new WeakMap(), '$', /WeakMap/],
  ['a WeakRef', new WeakRef({}), '$', /WeakRef/],
  ['a URL', new URL('file:///'), '$', /URL/],
  ['a generator', (function* () {})(), '$', /./],
  ['the arguments of a call', argumentsOf(1, 2), '$', /arguments/],
  ['a module namespace', units, '$', /a module|a function/],
  ['Math', Math, '$', /./],
  ['globalThis', globalThis, '$', /./],
  ['a Proxy of a Map', { p: new Proxy(new Map(), {}) }, '$.p', /a Proxy/],
  ['a Proxy of a Date', new Proxy(new Date(), {}), '$', /a Proxy/],
  ['a Proxy of a Buffer', new Proxy(Buffer.alloc(1), {}), '$', /a Proxy/],
  ['a SharedArrayBuffer', { s: new SharedArrayBuffer(8) }, '$.s', /SharedArrayBuffer/],
  ['a resizable ArrayBuffer', { b: resizableBuffer(4, 8) }, '$.b', /resizable/],
  ['a detached ArrayBuffer', { b: detachedBuffer() }, '$.b', /detached/],
  ['a Uint8Array on a detached ArrayBuffer', { b: viewOfDetached(Uint8Array) }, '$.b', /detached/],
  ['a Float64Array on a detached ArrayBuffer', { b: viewOfDetached(Float64Array) }, '$.b', /detached/],
  ['a DataView on a detached ArrayBuffer', { b: viewOfDetached(DataView) }, '$.b', /detached/],
  ['a view beyond its buffer', { b: outOfBounds() }, '$.b', /detached/],
  ['a toJSON', { a: { toJSON: () => 1 } }, '$.a.toJSON', /a function/],
  ['a name that is no identifier', { 'a b': { 'c-d': symbol } }, '$["a b"]["c-d"]', /symbol/],
  ['the key of a Map', { m: new Map<unknown, unknown>([[1, 2]]).set(symbol, 3) }, '$.m.keys()[1]', /symbol/],
  ['the value of a Map', { m: new Map<unknown, unknown>([[1, 2]]).set(3, [symbol]) }, '$.m.values()[1][0]', /symbol/],
  ['an element of a Set', new Set([1, 2, { a: symbol }]), '$.values()[2].a', /symbol/],
  ['the cause of an Error', { e: new Error('x', { cause: { a: symbol } }) }, '$.e.cause.a', /symbol/],
  ['an error of an AggregateError', new AggregateError([1, symbol]), '$.errors[1]', /symbol/],
  [
    'a property of an Error',
    Object.assign(new Error('x'), { request: { socket: symbol } }),
    '$.request.socket',
    /symbol/,
  ],
  ['the element after a hole', [1, , { a: symbol }], '$[2].a', /symbol/], // eslint-disable-line no-sparse-arrays
  ['a name of an array', Object.assign([1], { name: symbol }), '$.name', /symbol/],
  ['a named property of a Map', { m: Object.assign(new Map(), { name: 1 }) }, '$.m.name', /named property/],
  ['a named property of a Date', Object.assign(new Date(), { name: 1 }), '$.name', /named property/],
  ['a named property of a RegExp', Object.assign(/x/, { name: 1 }), '$.name', /named property/],
  ['a named property of an ArrayBuffer', Object.assign(new ArrayBuffer(1), { name: 1 }), '$.name', /named property/],
  ['a named property of a Set', Object.assign(new Set(), { name: 1 }), '$.name', /named property/],
  ['a named property of a Buffer', { b: Object.assign(Buffer.alloc(3), { name: 1 }) }, '$.b.name', /named property/],
  ['a named property of a typed array', Object.assign(new Float64Array(999), { name: 1 }), '$.name', /named property/],
  ['a named property of a DataView', Object.assign(aView(), { name: 1 }), '$.name', /named/],
  ['an instance of a subclass of Float64Array', new (class Reals extends Float64Array {})(1), '$', /Reals/],
  ['a DataView with another prototype', withPrototype(aView(), Object.create(DataView.prototype) as object), '$', /./],
  ['an instance of a subclass of ArrayBuffer', new (class Block extends ArrayBuffer {})(1), '$', /Block/],
  ['an instance of a subclass of RegExp', new (class Rule extends RegExp {})('x'), '$', /Rule/],
  ['an instance of a subclass of Set', new (class Bag extends Set {})(), '$', /Bag/],
  ['a DataView with the prototype of Buffer', withPrototype(aView(), Buffer.prototype), '$', /./],
  ['a RegExp that takes long to compile', { r: new RegExp('\\p{L}'.repeat(2000), 'u') }, '$.r', /Unicode properties/],
]

for (const [what, value, path, why] of REFUSED) {
  test(`a value is refused with the path to it: ${what}`, (t) => {
    refuses(t, value, path, why)
  })
}

test('values of 1,000 levels are stored, values of 1,001 and of 100,000 levels are refused', (t) => {
  const wraps: [what: string, wrap: (inner: unknown) => object][] = [
    ['object', (inner) => ({ inner })],
    ['array', (inner) => [inner, undefined]],
    ['array with a hole', (inner) => [, inner]], // eslint-disable-line no-sparse-arrays
    ['object without a prototype', (inner) => Object.assign(Object.create(null) as object, { inner })],
    ['key of a Map', (inner) => new Map([[inner, 1]])],
    ['value of a Map', (inner) => new Map([[1, inner]])],
    ['Set', (inner) => new Set([inner])],
    ['cause', (inner) => new Error('e', { cause: inner })],
  ]
  for (const [what, wrap] of wraps) {
    // The same value on both sides: an Error records the line that made it.
    const most = nested(1000, wrap)
    t.true(bytesOf(roundTrip(most)).equals(bytesOf(most)), what)
    for (const depth of [1001, 100_000]) refuses(t, nested(depth, wrap), '$', /1000 levels/)
  }
  t.is(plainText(nested(1000, (inner) => [inner]))?.length, 2001)
})

test('a refused value leaves the encoder in order for the next value', (t) => {
  const value = { a: [new Date(1), 'text'] }
  const bytes = bytesOf(value)
  t.throws(() => encodeStructured({ text: 'x'.repeat(100_000), b: [value, new Set([symbol])] }))
  t.deepEqual(bytesOf(value), bytes)
})
