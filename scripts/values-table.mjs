/**
 * Prints the table of docs/values.md: what each kind of value becomes in JSON, v8.serialize, msgpackr and here. Each cell is
 * what happened when this ran; nothing in it is known beforehand.
 *
 * Run by `docs.mjs`, as `node --import @oxc-node/core/register scripts/values-table.mjs`, since it reads sources in
 * TypeScript. The thing to get wrong: each value is one property of an object, so that what is left out shows; and a value is
 * made anew for each column.
 */
import { inspect, types } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { Packr } from 'msgpackr'
import { difference } from '../__test__/helpers/same-structure.ts'
import { open, segments } from '../index.ts'

const plain = new Packr()
/** It keeps most in this way. */
const careful = new Packr({ structuredClone: true, moreTypes: true })

class Point {
  x = 1
}

/** Kinds that come back, then what nobody can store. Made anew by each call. */
const KINDS = {
  text: () => 'text é 😀',
  'text with a lone surrogate': () => 'a\uD800b',
  'finite numbers': () => 1.5,
  '`-0`': () => -0,
  '`NaN`, `Infinity`': () => [Number.NaN, Infinity, -Infinity],
  'booleans, `null`': () => [true, false, null],
  '`undefined` inside': () => ({ a: undefined }),
  'bigints of 64 bits': () => 2n ** 63n - 1n,
  'larger bigints': () => -(2n ** 100n),
  Date: () => new Date(1.7e12),
  'an invalid Date': () => new Date(Number.NaN),
  RegExp: () => /x+/giu,
  Map: () => new Map([[{ key: 1 }, 'x']]),
  Set: () => new Set([1, 'a']),
  'an Error, with its stack': () => new RangeError('message'),
  'an Error with its `cause` and properties': () =>
    Object.assign(new Error('m', { cause: new Error('c') }), { code: 'E' }),
  AggregateError: () => new AggregateError([new Error('a')], 'm'),
  'plain objects': () => ({ a: { b: [1, 'x'] }, 5: 1 }),
  'an object without a prototype': () => Object.assign(Object.create(null), { x: 1 }),
  'the name `__proto__` as data': () => JSON.parse('{"__proto__":{"x":1}}'),
  arrays: () => [1, 'x', [null]],
  'an array with holes': () => Object.assign([1], { length: 3 }),
  'an array with names': () => Object.assign([1], { name: 'x' }),
  'an object that is there twice': () => {
    const twice = { x: 1 }
    return [twice, twice]
  },
  'a cycle': () => {
    const cycle = { list: [] }
    cycle.list.push(cycle)
    return cycle
  },
  Buffer: () => Buffer.from('bytes'),
  Uint8Array: () => new Uint8Array([1, 2, 3]),
  'Int8Array, Uint8ClampedArray': () => [new Int8Array([-1]), new Uint8ClampedArray([255])],
  'typed arrays of 16 and 32 bits': () =>
    [Int16Array, Uint16Array, Int32Array, Uint32Array].map((View) => new View([1, 2])),
  'Float32Array, Float64Array': () => [new Float32Array([0.5]), new Float64Array([0.1, -0])],
  'BigInt64Array, BigUint64Array': () => [new BigInt64Array([-1n]), new BigUint64Array([2n ** 63n])],
  'a view of a part of its buffer': () => new Uint16Array(new Uint16Array([1, 2, 3, 4]).buffer, 2, 2),
  ArrayBuffer: () => new Uint8Array([1, 2]).buffer,
  DataView: () => new DataView(new Uint8Array([1, 2, 3]).buffer, 1),
}

const REFUSED = {
  'a function': () => () => 1,
  'a symbol': () => Symbol('s'),
  'a Promise': () => Promise.resolve(1),
  'an instance of a class': () => new Point(),
  'an array of a class of its own': () => new (class List extends Array {})(),
  'a property named by a symbol': () => ({ [Symbol('s')]: 1 }),
  'a WeakMap': () => new WeakMap(),
}

const name = `values-table-${process.pid}`
const cache = open({ name, size: '8mb' })
try {
  const columns = {
    JSON: (value) => JSON.parse(JSON.stringify(value)),
    'v8.serialize': (value) => deserialize(serialize(value)),
    msgpackr: (value) => plain.unpack(plain.pack(value)),
    'msgpackr, `structuredClone`': (value) => careful.unpack(careful.pack(value)),
    'cache-machine': (value) => {
      cache.set('key', value)
      return cache.get('key')
    },
  }
  print([['Kind', ...Object.keys(columns)], ...rows(KINDS, columns, 'ok'), ...rows(REFUSED, columns, 'kept')])
} finally {
  cache.close()
  segments.destroy(name, { force: true })
}

function rows(kinds, columns, same) {
  return Object.entries(kinds).map(([kind, make]) => [
    kind,
    ...Object.values(columns).map((convert) => outcome(make, convert, same)),
  ])
}

function outcome(make, convert, same) {
  let found
  try {
    found = convert({ value: make() })
  } catch {
    return '**throws**'
  }
  if (!Object.hasOwn(found, 'value')) return 'left out'
  return differs(make, found) ? describe(found.value) : same
}

/** Compared with a value of its own, so that nobody can win by giving back the same object; errors have the stack of the other. */
function differs(make, found) {
  const value = make()
  if (types.isNativeError(value) && types.isNativeError(found.value)) alignStacks(value, found.value)
  return difference({ value }, found) !== undefined || symbolsOf(value) !== symbolsOf(found.value)
}

function symbolsOf(value) {
  return typeof value === 'object' && value !== null ? Object.getOwnPropertySymbols(value).length : 0
}

function alignStacks(from, to) {
  for (const [a, b] of [
    [from, to],
    [from.cause, to.cause],
    ...(from.errors ?? []).map((e, i) => [e, to.errors?.[i]]),
  ]) {
    // A stack begins with the type and the message; the lines differ.
    if (a === undefined || b === undefined || typeof b.stack !== 'string') continue
    if (b.stack.startsWith(`${a.name}: ${a.message}\n    at `)) Object.defineProperty(b, 'stack', { value: a.stack })
  }
}

/** What became of it, in a few words. */
function describe(found) {
  if (typeof found === 'object' && found !== null && inspect(found).length > 40)
    return `another ${found.constructor?.name}`
  return `\`${inspect(found, { breakLength: Infinity }).replaceAll('|', '\\|').replaceAll('\uFFFD', '\\uFFFD')}\``
}

function print(table) {
  const [heads = [], ...rest] = table
  const line = (cells) => `| ${cells.join(' | ')} |`
  console.log([line(heads), line(heads.map(() => '---')), ...rest.map(line)].join('\n'))
}
