/**
 * Prints the table of docs/values.md: what each kind of value becomes in JSON, v8.serialize, msgpackr and this cache.
 * Each cell is the result of a round trip in this run.
 *
 * `docs.mjs` runs it as `node --import @oxc-node/core/register scripts/verify/values-table.mjs`, since it imports
 * TypeScript. Each value is a property of an object, so that an encoder that omits the property shows. Each column
 * gets a new value.
 */
import { inspect, types } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { Packr } from 'msgpackr'
import { difference } from '../../__test__/helpers/same-structure.ts'
import { open, segments } from '../../index.ts'

const plain = new Packr()
/** The options with which msgpackr keeps the largest number of kinds. */
const careful = new Packr({ structuredClone: true, moreTypes: true })
const CAREFUL = 'msgpackr, `structuredClone`'

class Point {
  x = 1
}

/** Kinds that this cache returns as they were. Each call makes a new value. */
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
  'an array with named properties': () => Object.assign([1], { name: 'x' }),
  'an object referenced twice': () => {
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
  'a view of part of a buffer': () => new Uint16Array(new Uint16Array([1, 2, 3, 4]).buffer, 2, 2),
  ArrayBuffer: () => new Uint8Array([1, 2]).buffer,
  DataView: () => new DataView(new Uint8Array([1, 2, 3]).buffer, 1),
}

/** Kinds that this cache refuses. */
const REFUSED = {
  'a function': () => () => 1,
  'a symbol': () => Symbol('s'),
  'a Promise': () => Promise.resolve(1),
  'an instance of a class': () => new Point(),
  'an instance of a subclass of Array': () => new (class List extends Array {})(),
  'a property with a symbol as name': () => ({ [Symbol('s')]: 1 }),
  'a WeakMap': () => new WeakMap(),
}

const name = `values-table-${process.pid}`
const cache = open({ name, size: '8mb' })
try {
  const columns = {
    JSON: (value) => JSON.parse(JSON.stringify(value)),
    'v8.serialize': (value) => deserialize(serialize(value)),
    msgpackr: (value) => plain.unpack(plain.pack(value)),
    [CAREFUL]: (value) => careful.unpack(careful.pack(value)),
    'cache-machine': (value) => {
      cache.set('key', value)
      return cache.get('key')
    },
  }
  // Two tables, so that no row is wider than 120 columns.
  const { msgpackr, [CAREFUL]: clone, ...others } = columns
  console.log([others, { msgpackr, [CAREFUL]: clone }].map(tableOf).join('\n\n'))
} finally {
  cache.close()
  segments.destroy(name, { force: true })
}

function tableOf(columns) {
  const heads = ['Kind', ...Object.keys(columns)]
  const all = [heads, heads.map(() => '---'), ...rows(KINDS, columns, 'ok'), ...rows(REFUSED, columns, 'kept')]
  return all.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
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

/**
 * Compares with a new value, since an encoder must not pass by returning the same object. Errors get the stack of the
 * original.
 */
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
    // A stack begins with the type and the message. The lines after it differ.
    if (a === undefined || b === undefined || typeof b.stack !== 'string') continue
    if (b.stack.startsWith(`${a.name}: ${a.message}\n    at `)) Object.defineProperty(b, 'stack', { value: a.stack })
  }
}

/** The result in a few words. */
function describe(found) {
  if (typeof found === 'object' && found !== null && inspect(found).length > 40)
    return `another ${found.constructor?.name}`
  return `\`${inspect(found, { breakLength: Infinity }).replaceAll('|', '\\|').replaceAll('\uFFFD', '\\uFFFD')}\``
}
