/**
 * Values on their way into the segment and back.
 *
 * What goes in comes out equal, or `set` throws and names the culprit: nothing is dropped or bent on the way. Scalars
 * and bytes are stored as they are; plain objects and arrays as JSON text, after a walk that finds everything JSON would
 * lose. The thing to get wrong: text and keys cross as UTF-8, which has no lone surrogates; the native side notices, and
 * `SharedCache` sends such text as JSON, which has an escape for them.
 */
import { types } from 'node:util'
import { CacheError } from './errors.ts'
import { Kind } from './native.ts'

/** A key: a string of any Unicode text without lone surrogates, or bytes; 1 byte to 8 KiB as UTF-8. A string and its UTF-8 bytes are the same key. */
export type Key = string | Uint8Array

/** One of the numbers of `Kind`. */
export type ValueKind = (typeof Kind)[keyof typeof Kind]

/** A value with what the cache knows of it. */
export interface Entry<V = unknown> {
  readonly value: V
  /** Grows with every change of the key, over all processes; what `if: { version }` and `waitFor`'s `after` take. */
  readonly version: number
  /** When the value was set, in epoch milliseconds. */
  readonly createdAt: number
  /** When it expires, in epoch milliseconds; undefined: never. */
  readonly expiresAt: number | undefined
  /** Bytes of the segment that it occupies, overhead included. */
  readonly size: number
  /** Whether it has expired and was served nevertheless. Always false without `allowStale`. */
  readonly stale: boolean
}

/** Deeper than this nothing is stored: both directions recurse, and a stack overflow would depend on the caller's depth. */
const MAX_DEPTH = 1000

/** How `value` is to be stored. Throws for what is certainly no value; objects are looked into by `payloadOf`. */
export function kindOf(value: unknown): ValueKind {
  switch (typeof value) {
    case 'string':
      return Kind.String
    case 'number':
      return Kind.Number
    case 'boolean':
      return Kind.Simple
    case 'bigint':
      return BigInt.asIntN(64, value) === value ? Kind.BigInt64 : Kind.BigIntHex
    case 'object':
      if (value === null) return Kind.Simple
      if (!types.isUint8Array(value)) return Kind.Json
      return Buffer.isBuffer(value) ? Kind.Buffer : Kind.Uint8Array
    case 'undefined':
      throw new CacheError('ERR_UNDEFINED_VALUE', 'undefined cannot be stored')
    default:
      throw unserializable('$', describe(value))
  }
}

/** What crosses to the native side for a value of this kind. */
export function payloadOf(value: unknown, kind: ValueKind): unknown {
  switch (kind) {
    case Kind.String:
    case Kind.Number:
    case Kind.BigInt64:
      return value
    case Kind.Simple:
      return value === null ? 0 : value ? 2 : 1
    case Kind.BigIntHex:
      return (value as bigint).toString(16)
    case Kind.Json:
      return toJson(value)
    default:
      return settled(value as Uint8Array)
  }
}

/** The value of a text kind. Throws a SyntaxError if the text was damaged in the segment. */
export function fromText(text: string, kind: typeof Kind.Json | typeof Kind.BigIntHex): unknown {
  if (kind === Kind.Json) return JSON.parse(text)
  return text.startsWith('-') ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`)
}

/** A copy of bytes that belong to somebody else, as the type they were stored as. */
export function copyBytes(bytes: Uint8Array, kind: number | undefined): Uint8Array {
  return kind === Kind.Buffer ? Buffer.from(bytes) : Uint8Array.from(bytes)
}

/** Bytes that another thread could change under the native side's hands are copied first. */
function settled(bytes: Uint8Array): Uint8Array {
  return types.isSharedArrayBuffer(bytes.buffer) ? Uint8Array.from(bytes) : bytes
}

function toJson(value: unknown): string {
  const culprit = findCulprit(value, 0)
  if (culprit !== undefined) throw culprit.why === TOO_DEEP ? tooDeep(value) : culpritError(culprit)
  try {
    return JSON.stringify(value)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw new CacheError('ERR_VALUE_TOO_LARGE', 'the value is too large for one string of JSON', { cause: error })
  }
}

/** Something that JSON would lose. `path` is built from the inside out, on failure only. */
interface Culprit {
  readonly why: string
  path: string
}

const TOO_DEEP = `nesting of more than ${MAX_DEPTH} levels`

function findCulprit(value: unknown, depth: number): Culprit | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? undefined : culprit(describe(value))
    case 'object':
      if (value === null) return undefined
      if (depth === MAX_DEPTH) return culprit(TOO_DEEP)
      return Array.isArray(value) ? findInArray(value, depth + 1) : findInObject(value, depth + 1)
    default:
      return culprit(describe(value))
  }
}

function findInArray(array: readonly unknown[], depth: number): Culprit | undefined {
  if (!isPlain(array, Array.prototype, 'flatMap')) return culprit(describe(array))
  for (let index = 0; index < array.length; index++) {
    const found = findCulprit(array[index], depth)
    if (found === undefined) continue
    if (array[index] === undefined && !Object.hasOwn(array, index)) return within(culprit('a hole'), `[${index}]`)
    return within(found, `[${index}]`)
  }
  // Every index is there, so whatever is more has a name, as in the result of a regular expression's match.
  const names = Object.keys(array)
  if (names.length !== array.length) return within(culprit('a named property of an array'), member(names.at(-1) ?? ''))
  return findSymbol(array)
}

function findInObject(object: object, depth: number): Culprit | undefined {
  if (!isPlain(object, Object.prototype, 'isPrototypeOf')) return culprit(describe(object))
  for (const name of Object.keys(object)) {
    const found = findCulprit((object as Record<string, unknown>)[name], depth)
    if (found !== undefined) return within(found, member(name))
  }
  return findSymbol(object)
}

function findSymbol(object: object): Culprit | undefined {
  const symbols = Object.getOwnPropertySymbols(object)
  if (symbols.length === 0) return undefined
  const symbol = symbols.find((name) => Object.prototype.propertyIsEnumerable.call(object, name))
  return symbol && within(culprit('a property named by a symbol'), `[${String(symbol)}]`)
}

/** Without a prototype, with the usual one, or with the usual one of another realm, told by a method that only it owns. */
function isPlain(object: object, usual: object, method: string): boolean {
  const prototype: unknown = Object.getPrototypeOf(object)
  if (prototype === usual) return true
  return prototype === null ? usual === Object.prototype : Object.hasOwn(prototype as object, method)
}

/** A cycle is always too deep; look for one before blaming the depth. */
function tooDeep(value: unknown): CacheError {
  return culpritError(findCycle(value, []) ?? { why: TOO_DEEP, path: '' })
}

function findCycle(value: unknown, above: object[]): Culprit | undefined {
  if (typeof value !== 'object' || value === null || above.length > MAX_DEPTH) return undefined
  if (above.includes(value)) return culprit('a cycle')
  above.push(value)
  for (const [name, inner] of Object.entries(value)) {
    const found = findCycle(inner, above)
    if (found !== undefined) return within(found, Array.isArray(value) ? `[${name}]` : member(name))
  }
  above.pop()
  return undefined
}

function culprit(why: string): Culprit {
  return { why, path: '' }
}

function within(found: Culprit, step: string): Culprit {
  found.path = step + found.path
  return found
}

function member(name: string): string {
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`
}

function culpritError({ why, path }: Culprit): CacheError {
  return unserializable(`$${path}`, why)
}

function unserializable(path: string, what: string): CacheError {
  return new CacheError('ERR_UNSERIALIZABLE', `${path} is ${what}, which cannot be stored`)
}

function describe(value: unknown): string {
  switch (typeof value) {
    case 'number':
      return Object.is(value, -0) ? '-0 inside JSON' : `${value} inside JSON`
    case 'bigint':
      return 'a bigint inside JSON'
    case 'function':
      return 'a function'
    case 'symbol':
      return 'a symbol'
    case 'object': {
      const { name } = (value as { constructor?: { name?: unknown } }).constructor ?? {}
      return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'not a plain object'
    }
    default:
      return String(value)
  }
}
