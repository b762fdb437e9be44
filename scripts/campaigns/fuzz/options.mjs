/**
 * Fuzzes the public calls with random arguments: options with values of every type, getters that throw, proxies. A
 * call may only throw a `CacheError` with a code and a hint, or the error that the argument itself threw. Nothing may
 * be left in shared memory.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import * as fc from 'fast-check'
import { CacheError, open, regions, segments } from '../../../dist/index.js'
import { fuzz, prototypesNow } from './harness.mjs'

/** Calls of each kind in one execution. */
const RUNS = 20
const CODE = /^ERR_[A-Z_]+$/
/** Hostile arguments throw this. */
class Thrown extends Error {}
/** Whether they throw: only during a call, since the code that makes and prints the arguments reads them as well. */
let armed = false

const names = {
  open: [
    'directory',
    'size',
    'maxEntrySize',
    'eviction',
    'ttl',
    'strict',
    'codec',
    'near',
    'lockMemory',
    'onMismatch',
    'writeTimeout',
    'version',
  ],
  near: ['maxEntries', 'maxSize', 'objects'],
}

const STORING = ['ttl', 'expiresAt', 'stale', 'tags']
/** The options of each call. A call with an option that it does not have is refused before it reads any other. */
const optionsOfCalls = {
  set: [...STORING, 'keepTtl', 'if'],
  add: STORING,
  replace: [...STORING, 'keepTtl'],
  swap: STORING,
  setMany: [...STORING, 'keepTtl'],
  append: ['ttl', 'tags'],
  getEntry: ['allowStale'],
  delete: ['version'],
  incr: ['init', 'ttl', 'min', 'max'],
  incrBigInt: ['init', 'ttl', 'min', 'max'],
  invalidateTags: ['mode'],
  keys: ['prefix'],
  entries: ['prefix'],
  namespace: ['near', 'ttl', 'codec', 'strict'],
  stats: ['scope'],
  limiter: ['limit', 'window', 'algorithm'],
  tryLock: ['ttl'],
}
const anyOptions = [...new Set(Object.values(optionsOfCalls).flat())]

/** The calls to fuzz. Calls that wait or take a callback have specs of their own. */
const calls = [
  'get',
  'peek',
  'has',
  'getEntry',
  'set',
  'add',
  'replace',
  'swap',
  'append',
  'delete',
  'take',
  'touch',
  'persist',
  'ttl',
  'incr',
  'incrBigInt',
  'getMany',
  'setMany',
  'deleteMany',
  'hasMany',
  'deletePrefix',
  'invalidateTags',
  'keys',
  'entries',
  'namespace',
  'stats',
  'limiter',
  'publish',
  'tryLock',
  'semaphore',
  'region',
  'on',
  'off',
]

/** A sparse array of a million elements, to find code that walks all of an array before it checks the first element. */
const MANY = Array.from({ length: 2 ** 20 })
const HOLES = Object.assign(Array.from({ length: 0 }), { 3: 1 })

await fuzz(({ seed }) => {
  const before = segmentsNow()
  const prototypes = prototypesNow()
  const name = `fuzz-options-${process.pid}`
  const cache = open({ name, size: '2mb' })
  const opening = fc.property(optionsOf(name), opens)
  const anyCall = fc.oneof(...calls.map((call) => fc.tuple(fc.constant(call), argumentsOf(call))))
  const callings = fc.property(anyCall, ([call, args]) => calling(cache, call, args))
  let round = 0
  return {
    run() {
      const parameters = { seed: seed + round++, numRuns: RUNS }
      fc.assert(opening, parameters)
      fc.assert(callings, parameters)
      assert.equal(prototypesNow(), prototypes)
    },
    end() {
      for (const region of regions.list().filter((found) => found.cache === name)) {
        regions.destroy(name, region.name, { force: true })
      }
      cache.close()
      segments.destroy(name, { force: true })
      segments.destroy(`${name}-opened`, { force: true })
      assert.deepEqual(segmentsNow(), before, 'left in shared memory')
    },
  }
})

function segmentsNow() {
  return readdirSync('/dev/shm').filter(
    (file) => file.startsWith('cache-machine.') && file.includes(`fuzz-options-${process.pid}`),
  )
}

function opens(options) {
  const opened = attempt(() => open(options))
  opened?.set('k', 1)
  opened?.close()
}

function calling(cache, call, args) {
  const result = attempt(() => cache[call](...args))
  if (typeof result?.next === 'function') attempt(() => result.next())
  if (result !== cache && typeof result?.close === 'function') result.close()
  if (typeof result?.release === 'function') result.release()
}

/** The result; undefined if the call threw. */
function attempt(call) {
  armed = true
  try {
    return call()
  } catch (error) {
    armed = false
    if (error instanceof Thrown) return undefined
    assert.ok(error instanceof CacheError, `threw ${error?.stack ?? String(error)}`)
    assert.match(error.code, CODE)
    assert.ok(error.hint.length > 0 && error.message.length < 20_000)
    return undefined
  } finally {
    armed = false
  }
}

function optionsOf(name) {
  const wanted = fc.record(
    {
      ...Object.fromEntries(names.open.map((key) => [key, fc.oneof(likely(key), hostile())])),
      near: fc.oneof(objectWith(names.near), hostile()),
    },
    { requiredKeys: [] },
  )
  const named = wanted.map((options) => ({ name: `${name}-opened`, ...options }))
  return fc.oneof({ weight: 4, arbitrary: named }, objectWith(['name', ...names.open]), trapped(named), hostile())
}

/** Valid values, so that calls pass their first checks. No folder and no size that would leave files behind. */
function likely(key) {
  const values = {
    size: ['2mb', '3mb', 2 ** 21, 1],
    maxEntrySize: ['64kb', 1000],
    eviction: ['s3-fifo', 'lru', 'none'],
    ttl: ['1s', 1000, 0.5],
    strict: [true, false],
    codec: ['auto', 'json'],
    near: [false],
    lockMemory: [false],
    onMismatch: ['attach', 'throw'],
    version: ['v1', 'v2', ''],
    writeTimeout: [1, '1s', Number.POSITIVE_INFINITY],
    directory: [undefined, '/nowhere/at/all', '/dev/null', ''],
  }
  return fc.constantFrom(...(values[key] ?? [undefined]))
}

function argumentsOf(call) {
  const own = objectWith(optionsOfCalls[call] ?? anyOptions)
  const argument = fc.oneof(
    { weight: 6, arbitrary: fc.string({ maxLength: 20 }) },
    { weight: 2, arbitrary: own },
    objectWith(anyOptions),
    { weight: 2, arbitrary: hostile() },
  )
  return fc.array(argument, { maxLength: 3 })
}

function objectWith(keys) {
  const object = fc.record(Object.fromEntries(keys.map((key) => [key, hostile()])), { requiredKeys: [] })
  return fc.oneof({ weight: 4, arbitrary: object }, trapped(object))
}

/** The objects with a getter that throws, or behind a proxy that throws after some traps. */
function trapped(objects) {
  const getters = fc.tuple(objects, fc.constantFrom('name', ...names.open, ...anyOptions)).map(([object, key]) => {
    return Object.defineProperty({ ...object }, key, { get: thrower, enumerable: true, configurable: true })
  })
  const proxies = fc.tuple(objects, fc.nat(6)).map(([object, patience]) => impatient(object, patience))
  return fc.oneof(getters, proxies)
}

function thrower() {
  if (armed) throw new Thrown('an argument threw')
}

function impatient(object, patience) {
  let left = patience
  const traps = ['get', 'has', 'ownKeys', 'getOwnPropertyDescriptor', 'getPrototypeOf']
  const handler = traps.map((trap) => [trap, (...args) => (!armed || left-- > 0 ? Reflect[trap](...args) : thrower())])
  return new Proxy({ ...object }, Object.fromEntries(handler))
}

function hostile() {
  return fc.oneof(
    fc.constantFrom(
      undefined,
      null,
      -0,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      2 ** 53,
      -1,
      1e308,
      5e-324,
    ),
    fc.constantFrom(
      Symbol('s'),
      Symbol.iterator,
      2n ** 64n,
      -1n,
      Object.create(null),
      thrower,
      Uint8Array,
      new Date(Number.NaN),
    ),
    fc.constantFrom(
      '',
      '\0',
      '\ud800',
      '\ufffd',
      '__proto__',
      'constructor',
      '1e3s',
      ' 1s',
      '1S',
      '-1s',
      '99999999999999999999h',
      'k'.repeat(9000),
    ),
    fc.constantFrom(
      new Uint8Array(0),
      new Uint8Array(9000),
      Buffer.from('k'),
      new Uint8Array(new SharedArrayBuffer(4)),
      HOLES,
      ['a', 'a'],
      MANY,
    ),
    fc.anything({
      maxDepth: 2,
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
      withNullPrototype: true,
      withSparseArray: true,
    }),
    fc.double(),
    fc.constant(0).map(() => impatient([1], 1)),
    fc.constant(0).map(() => impatient({ toString: thrower, valueOf: thrower, [Symbol.toPrimitive]: thrower }, 9)),
  )
}
