/**
 * The structured format: values of every kind come back the same.
 */
import { isDeepStrictEqual } from 'node:util'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { VALUES, bytesOf, comesBack, resizableBuffer, roundTrip } from '../helpers/codec-values.ts'
import { decodeStructured, plainText } from '../helpers/internals.ts'
import { difference } from '../helpers/same-structure.ts'
import { TYPED_ARRAYS } from '../helpers/typed-arrays.ts'

for (const [what, value] of Object.entries(VALUES)) {
  test(`a value comes back unchanged: ${what}`, (t) => {
    comesBack(t, value)
    comesBack(t, { deep: [new Map([['inside', value]])] })
  })
}

const VIEWS = TYPED_ARRAYS

test('a typed array of each type comes back with exactly its own bytes, in memory of its own', (t) => {
  for (const View of VIEWS) {
    const size = View.BYTES_PER_ELEMENT
    // Every bit pattern of a byte, so NaNs with a payload too.
    const whole = Uint8Array.from({ length: 64 * size }, (_, i) => 255 - i).buffer
    for (const view of [new View(whole), new View(whole, size, 5), new View(whole, 64 * size), new View(0)]) {
      comesBack(t, view, View.name)
      t.is(roundTrip(view).buffer.byteLength, view.byteLength, View.name)
    }
  }
})

test('a Buffer comes back as a Buffer, with bytes of its own', (t) => {
  const pooled = Buffer.from('0123456789').subarray(2, 5)
  const bytes = bytesOf({ pooled })
  const { pooled: found } = decodeStructured(bytes) as { pooled: Buffer }
  t.true(Buffer.isBuffer(found))
  t.is(found.toString(), '234')
  bytes.fill(0)
  t.is(found.toString(), '234')
})

test('a decoded value does not depend on the bytes that it was decoded from', (t) => {
  const value = { text: 'text'.repeat(20), ü: '€', b: new Uint8Array(100).fill(7), f: new Float64Array(3).fill(1.5) }
  const bytes = bytesOf(value)
  const found = decodeStructured(bytes)
  bytes.fill(0xff)
  t.is(difference(value, found), undefined)
})

test('the decoder accepts any view of the bytes, at any offset', (t) => {
  const bytes = bytesOf({ a: [new Date(5), 1.5, 'text'] })
  for (let offset = 0; offset < 9; offset++) {
    const moved = new Uint8Array(new ArrayBuffer(bytes.length + 20), offset, bytes.length)
    moved.set(bytes)
    t.deepEqual(decodeStructured(moved), { a: [new Date(5), 1.5, 'text'] })
  }
})

test('two views of one ArrayBuffer come back with a copy each', (t) => {
  const buffer = new ArrayBuffer(4)
  const found = roundTrip({ buffer, a: new Uint8Array(buffer), b: new Uint8Array(buffer, 2) })
  found.a.fill(1)
  t.deepEqual([...new Uint8Array(found.buffer), ...found.b], [0, 0, 0, 0, 0, 0])
})

test('bytes of shared memory, of a resizable buffer and of views of either are copied', (t) => {
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(3)
  const resizable = new Uint8Array(resizableBuffer(4, 8)).fill(4)
  const found = roundTrip({ shared, resizable })
  shared.fill(0)
  t.deepEqual(found, { shared: new Uint8Array(4).fill(3), resizable: new Uint8Array(4).fill(4) })
})

test('one object comes back as one object, and two equal objects as two', (t) => {
  const date = new Date()
  const leaf = { a: 1 }
  const keys = [date, leaf, /x/g, new Error('e'), Buffer.from('b'), new Float32Array(2), new ArrayBuffer(3), new Set()]
  comesBack(t, [...keys, ...keys, new Map(keys.map((key) => [key, key])), new Set(keys), { leaf }])
  comesBack(t, [date, new Date(date)])
})

test('cycles come back through every kind of container', (t) => {
  const object: Record<string, unknown> = {}
  const array: unknown[] = [object]
  const map = new Map<unknown, unknown>([[array, object]])
  const set = new Set<unknown>([map])
  const error = Object.assign(new Error('e', { cause: set }), { set })
  const bare = Object.assign(Object.create(null) as object, { error })
  const keyed = Object.assign([, bare], { bare }) // eslint-disable-line no-sparse-arrays
  Object.assign(object, { object, array, map, set, error, bare, keyed })
  array.push(array)
  map.set(map, map).set('object', object)
  set.add(set)
  Object.assign(keyed, { keyed })
  for (const start of [object, array, map, set, error, bare, keyed]) comesBack(t, start)
})

test('the order of names, entries and elements is kept', (t) => {
  const found = roundTrip({
    z: 1,
    a: undefined,
    5: 3,
    4: new Map(Object.entries({ y: 1, b: 2 })),
    s: new Set([3, 1, 2]),
  })
  t.deepEqual(Object.keys(found), ['4', '5', 'z', 'a', 's'])
  t.deepEqual([...found[4].keys()], ['y', 'b'])
  t.deepEqual([...found.s], [3, 1, 2])
})

test('values of another realm are accepted, and come back with the prototypes of this realm', (t) => {
  const foreign = runInNewContext(`({
    object: {}, bare: Object.create(null), array: [1, , undefined], date: new Date(5), regexp: /x/g, map: new Map([[1, 2]]),
    set: new Set([1]), error: new TypeError('m'), buffer: new ArrayBuffer(2), view: new DataView(new ArrayBuffer(1)),
    typed: new Float64Array([1.5]), aggregate: new AggregateError([1]), u8: new Uint8Array(2),
  })`) as Record<string, object>
  const found = roundTrip(foreign)
  t.is(Object.getPrototypeOf(found), Object.prototype)
  const prototypes = [Object, , Array, Date, RegExp, Map, Set, TypeError, ArrayBuffer, DataView, Float64Array] // eslint-disable-line no-sparse-arrays
  Object.values(found).forEach((value, i) => {
    const expected = [...prototypes, AggregateError, Uint8Array][i]?.prototype ?? null
    t.is(Object.getPrototypeOf(value), expected, Object.keys(found)[i])
  })
  t.is(plainText(runInNewContext('({ x: [1, { y: 2 }] })')), '{"x":[1,{"y":2}]}')
})

test('the lastIndex of a RegExp comes back as 0', (t) => {
  const regexp = /x/g
  regexp.lastIndex = 5
  t.is(roundTrip(regexp).lastIndex, 0)
})

test('a Date that was made while the clock is mocked comes back as a Date', (t) => {
  const RealDate = Date
  try {
    globalThis.Date = class Date extends RealDate {} as DateConstructor
    const found = roundTrip({ at: new Date(5) })
    t.is(found.at.getTime(), 5)
    t.is(Object.getPrototypeOf(found.at), Date.prototype)
  } finally {
    globalThis.Date = RealDate
  }
})

test('the encoder writes exactly the bytes of format 1', (t) => {
  // Other bytes need another format version: bytes in a segment outlive the process that wrote them.
  const value = { id: 7, at: new Date(0), 'ü€': [-1, 1.5, new Set(['x']), 2n ** 64n], n: Buffer.from('ab') }
  const bytes = [
    '012a000000', // version 1, 42 bytes of tokens
    '0c001c', // an object with a new shape; the text of the shape has 28 units
    '87', // 7
    '100000000000000000', // a Date, 0
    '0a04', // an array of 4
    '0401', // -1
    '05000000000000f83f', // 1.5
    '0f0100000041', // a Set of a text of 1 unit
    '0811', // a bigint of 17 digits
    '1300020000006162', // 2 bytes as a Buffer
    '0131000000', // a page of 49 bytes of UTF-8
    Buffer.from('{"id":0,"at":0,"ü€":0,"n":0}x10000000000000000').toString('hex'),
  ].join('')
  t.is(bytesOf(value).toString('hex'), bytes)
  t.deepEqual(decodeStructured(Buffer.from(bytes, 'hex')), value)
})

test('isDeepStrictEqual agrees that the values come back the same', (t) => {
  // These tests use a comparison of their own, so this test compares with the one of Node.js. To that one an invalid
  // Date is not equal even to itself.
  const values = { ...VALUES, Dates: (VALUES.Dates as Date[]).filter((date) => !Number.isNaN(date.getTime())) }
  for (const [what, value] of Object.entries(values)) t.true(isDeepStrictEqual(roundTrip(value), value), what)
})
