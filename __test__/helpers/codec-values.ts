/**
 * Values that the structured format stores, and checks that they come back the same.
 */
import { statSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { decodeStructured, encodeStructured } from './internals.ts'
import { difference } from './same-structure.ts'

/** Encodes and decodes, as when one process stores the bytes and another reads them. */
export function roundTrip<T extends object>(value: T): T {
  return decodeStructured(bytesOf(value)) as T
}

export function bytesOf(value: object): Buffer {
  return Buffer.from(encodeStructured(value))
}

export function comesBack(t: ExecutionContext, value: object, what?: string): void {
  t.is(difference(value, roundTrip(value)), undefined, what)
}

const sparse: unknown[] = [1]
sparse[5] = 2
sparse.length = 10

export const SCALARS = [
  0,
  -0,
  1,
  -1,
  127,
  128,
  -127,
  -128,
  2 ** 31 - 1,
  2 ** 31,
  -(2 ** 31),
  -(2 ** 31) - 1,
  2 ** 53,
  2 ** 64,
  0.1,
  5e-324,
  Number.MAX_VALUE,
  -Number.MAX_VALUE,
  Infinity,
  -Infinity,
  Number.NaN,
  0n,
  1n,
  -1n,
  2n ** 63n - 1n,
  2n ** 63n,
  -(2n ** 63n),
  -(2n ** 63n) - 1n,
  3n ** 5000n,
  -(3n ** 5000n),
  '',
  'a',
  'é',
  '€',
  '😀',
  '\0',
  '\uFEFFbom',
  '\uFFFD',
  '\uD800',
  'a\uDC00b',
  '\uDE00\uD83D',
  'x'.repeat(63),
  'x'.repeat(64),
  'ü'.repeat(20_000),
  '😀'.repeat(20_000),
  '\uD800'.repeat(20_000),
  null,
  undefined,
  true,
  false,
]

export const VALUES: Record<string, object> = {
  'all scalars in an array': SCALARS,
  'all scalars in an object': { ...SCALARS },
  'all scalars as keys and values of a Map': new Map(SCALARS.map((value) => [value, value])),
  'all scalars in a Set': new Set(SCALARS),
  Dates: [new Date(0), new Date(1.7e12), new Date(-1), new Date(8.64e15), new Date(Number.NaN)],
  RegExps: [
    /(?:)/,
    /a\/b/gi,
    /\u{1F600}/u,
    new RegExp('[\\p{L}--[a-z]]', 'v'),
    /(?<name>x)/dy,
    new RegExp('\n', 's'),
    /\uD800/m,
  ],
  'undefined inside': { a: undefined, b: [undefined], c: new Map([[undefined, undefined]]), d: new Set([undefined]) },
  'an array with holes': sparse,
  'an array of holes': Array.from({ length: 3 }).map((_, i, all) => delete all[i] && all)[2] as unknown[],
  'an array of the longest length': Object.assign([], { 4294967294: 'last' }),
  'an array with names': Object.assign([1, 2], {
    name: 'x',
    '-1': 'y',
    4294967295: 'z',
    '00': 'u',
    '01': 'v',
    '1e0': 'w',
  }),
  'an array with a hole and a name': Object.assign([1, , 3], { name: 'x' }), // eslint-disable-line no-sparse-arrays
  'a match': /(?<b>b)(c)?/d.exec('abd') as object,
  'an object without a prototype': Object.assign(Object.create(null) as object, { x: 1, ['__proto__']: 2 }),
  'nested objects without a prototype': Object.assign(Object.create(null) as object, { x: Object.create(null) }),
  'index names': { 5: 'a', 1023: 'b', 4294967294: 'c', 4294967295: 'd', '01': 'e', x: 'f', constructor: 'g' },
  'an object with 3,000 names': Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`name ${i}`, i])),
  'many shapes': Array.from({ length: 300 }, (_, i) => ({ [`a${i % 150}`]: 1, b: undefined, [`c${i % 7}`]: 2 })),
  'texts of many pages': Array.from({ length: 3000 }, (_, i) => `${'text '.repeat(i % 9)}${i % 100 === 0 ? '😀' : ''}`),
  'an ArrayBuffer': new Uint8Array([1, 2, 3]).buffer,
  'an empty ArrayBuffer': new ArrayBuffer(0),
  'a DataView on a part': new DataView(new Uint8Array([1, 2, 3, 4, 5]).buffer, 1, 3),
  'a Buffer': Buffer.from('bytes'),
  'an empty Buffer': Buffer.alloc(0),
  'a large Buffer': { bytes: Buffer.alloc(3_000_000, 'abc') },
  'an Error as it was thrown': new Error('message'),
  'an Error with code and cause': Object.assign(new TypeError('m', { cause: new RangeError('c') }), { code: 'E' }),
  'an Error with undefined as its cause': new Error('m', { cause: undefined }),
  'an Error with an enumerable message': Object.assign(new Error(), { message: 'mine' }),
  'an Error with a name of its own': Object.assign(new Error('m'), { name: 'Custom' }),
  'an AggregateError': new AggregateError([new Error('a'), 5], 'm'),
  'an Error of a system call': systemError(),
}

function systemError(): Error {
  try {
    statSync('/no/such/file')
  } catch (error) {
    return error as Error
  }
  throw new Error('there is such a file')
}

export const symbol = Symbol('s')

export function resizableBuffer(length: number, maxByteLength: number): ArrayBuffer {
  return new (ArrayBuffer as new (length: number, options: object) => ArrayBuffer)(length, { maxByteLength })
}
