/**
 * Plain data is stored as JSON text, and only where JSON loses nothing.
 */
import test from 'ava'
import { bytesOf, comesBack, roundTrip } from '../helpers/codec-values.ts'
import { plainText } from '../helpers/internals.ts'
import { difference } from '../helpers/same-structure.ts'

test('plain data is encoded as JSON text', (t) => {
  const values = [
    {},
    [],
    [[[]]],
    { a: { b: { c: [1, 'x', null, true, false, { d: -1.5e-7 }] } } },
    { lone: '\uD800', '\uDC00': 1, '\u2028': 2, 10: 6, 9: 7, toJSON: 1 },
    JSON.parse('{"__proto__":{"polluted":true},"constructor":1,"a":{"__proto__":4}}') as object,
    [Number.MAX_VALUE, Number.MIN_VALUE, 0, -1, 2 ** 53],
    Array.from({ length: 1000 }, (_, index) => ({ index })),
  ]
  for (const value of values) {
    const text = plainText(value)
    t.is(text, JSON.stringify(value))
    t.is(difference(value, JSON.parse(text as string)), undefined)
    comesBack(t, value)
  }
})

test('a value that JSON would change is not encoded as JSON text', (t) => {
  const shared = { x: 1 }
  const many = Array.from({ length: 100 }, () => ({}))
  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  const lossy: Record<string, unknown> = {
    undefined: { a: undefined },
    'undefined in an array': [undefined],
    'a hole': [1, , 3], // eslint-disable-line no-sparse-arrays
    'a name of an array': Object.assign([1], { name: 1 }),
    'a hole and a name': Object.assign([1, , 3], { name: 1 }), // eslint-disable-line no-sparse-arrays
    '-0': [-0],
    NaN: { a: Number.NaN },
    Infinity: { a: [-Infinity] },
    'a bigint': [1n],
    'a Date': { at: new Date() },
    'no prototype': Object.create(null),
    'an object that occurs twice': [shared, shared],
    'one of many objects that occurs twice': [...many, many[50]],
    'a cycle': cycle,
    'a Buffer': { b: Buffer.alloc(1) },
  }
  for (const [what, value] of Object.entries(lossy)) {
    t.is(plainText(value), undefined, what)
    comesBack(t, value as object, what)
  }
})

test('a hidden toJSON does not change a value, and is not part of it', (t) => {
  const value = Object.defineProperty({ a: 1 }, 'toJSON', { value: () => 'bent' })
  t.is(plainText(value), undefined)
  t.is(difference({ a: 1 }, roundTrip(value)), undefined)
})

test('a toJSON on Object.prototype changes nothing', (t) => {
  const value = { a: [1, { b: 2 }] }
  const prototype = Object.prototype as { toJSON?: () => unknown }
  try {
    prototype.toJSON = () => 'bent'
    t.is(plainText(value), undefined)
    comesBack(t, value)
  } finally {
    delete prototype.toJSON
  }
})

test('objects that are shared at level after level are encoded in the time of their real size', (t) => {
  // As JSON this would be 2 ** 60 numbers.
  let value: unknown = [1]
  for (let i = 0; i < 60; i++) value = [value, value]
  t.is(plainText(value), undefined)
  t.true(bytesOf(value as object).length < 1000)
  comesBack(t, value as object)
})
