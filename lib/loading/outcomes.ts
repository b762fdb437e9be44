/**
 * The outcome of a load as bytes, for callers in other processes: a value that is not kept, or an error.
 *
 * An error keeps its name, message, stack, cause and own properties, as far as they can be stored. It keeps its class
 * if that is a class of the language, of any realm, or `CacheError`; otherwise it becomes an `Error` with its name. A
 * thrown value that is no error comes back as it was; if it cannot be stored, such as a `Response`, it becomes an
 * `Error` as well.
 *
 * Caution: errors are foreign objects. A getter may throw, and a cause may be its own cause. Packing never throws and
 * falls back to less detail.
 */
import { types } from 'node:util'
import { CacheError } from '../errors.ts'
import type { CacheErrorCode } from '../errors.ts'
import { describe } from '../codec/kinds.ts'
import { decodeStructured, encodeStructured } from '../codec/structured.ts'

/** What callers elsewhere get. */
export type Outcome =
  | { readonly value: unknown }
  | { readonly error: unknown }
  /** The value cannot cross: each process loads for itself. */
  | { readonly alone: true }

/** The maximum that the native side keeps. */
const MAX_BYTES = 8192
/** Maximum depth of nested causes. */
const MAX_DEPTH = 5
const MAX_MESSAGE = 1000
/** The maximum that the own properties take when not all of an error has room. */
const MAX_OWN_BYTES = 4096
/** Maximum number of own properties that are kept. */
const MAX_OWN = 100
const NOTHING = new Uint8Array()

const TYPES = ['TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'EvalError', 'URIError'] as const

/** The stored part of an error. */
interface PackedError {
  readonly type: string
  readonly name: string
  readonly message: string
  readonly stack?: string | undefined
  readonly hint?: string
  readonly own?: Record<string, unknown>
  /** Own properties that are errors, and cannot be stored as such. */
  readonly inner?: Record<string, Packed>
  /** Names of own properties that are not enumerable. */
  readonly hidden?: readonly string[]
  /** Absent where the error has none. */
  readonly cause?: Packed
  readonly errors?: readonly Packed[]
}

/** A thrown value, or the stored part of an error. */
type Packed = { readonly value: unknown } | { readonly error: PackedError }

const ALONE: Outcome = { alone: true }

/** The bytes of an outcome. */
export function packOutcome(outcome: Outcome): Uint8Array {
  if (!('error' in outcome)) return encodeWithin(outcome) ?? encodeWithin(ALONE) ?? NOTHING
  const attempt = (depth: number, whole: boolean): Uint8Array | undefined =>
    safely(() => encodeWithin({ thrown: pack(outcome.error, depth, whole) }))
  return attempt(MAX_DEPTH, true) ?? attempt(0, false) ?? encodeWithin({ thrown: UNREADABLE }) ?? NOTHING
}

/** The outcome of bytes; undefined if they are empty or damaged. */
export function unpackOutcome(bytes: Uint8Array): Outcome | undefined {
  if (bytes.length === 0) return undefined
  try {
    const packed = decodeStructured(bytes) as { value: unknown } | { thrown: Packed } | { alone: true }
    if ('alone' in packed) return ALONE
    return 'thrown' in packed ? { error: unpack(packed.thrown) } : { value: packed.value }
  } catch {
    return undefined
  }
}

function encodeWithin(packed: object): Uint8Array | undefined {
  try {
    const bytes = encodeStructured(packed)
    return bytes.length <= MAX_BYTES ? Uint8Array.from(bytes) : undefined
  } catch {
    return undefined
  }
}

/** A thrown value of which nothing can be read. */
const UNREADABLE: Packed = { error: { type: 'Error', name: 'Error', message: 'the loader threw an unreadable value' } }

function pack(thrown: unknown, depth: number, whole: boolean): Packed {
  if (typeof thrown === 'string' && !whole) return { value: thrown.slice(0, MAX_MESSAGE) }
  if (!isError(thrown) && sizeOf(thrown) !== undefined) return { value: thrown }
  const isObject = typeof thrown === 'object' && thrown !== null
  const error = isObject ? packError(thrown, depth, whole) : { type: 'Error', name: 'Error', message: String(thrown) }
  return { error: whole ? error : { ...error, message: error.message.slice(0, MAX_MESSAGE) } }
}

function packError(thrown: object, depth: number, whole: boolean): PackedError {
  const type = safely(() => typeOf(thrown)) ?? 'Error'
  const name = nameOf(thrown)
  const message = messageOf(thrown)
  const stack = textAt(thrown, 'stack')
  const packed: PackedError = {
    type,
    name: whole ? name : name.slice(0, MAX_MESSAGE),
    message,
    ...(type === 'CacheError' && { hint: textAt(thrown, 'hint') ?? '' }),
    ...(whole && { stack: stack ?? (isError(thrown) ? undefined : `${name}: ${message}`) }),
    ...ownOf(thrown, type, depth, whole),
  }
  if (depth === 0) return packed
  const cause = safely(() => 'cause' in thrown) ? { cause: pack(at(thrown, 'cause'), depth - 1, whole) } : {}
  const errors = type === 'AggregateError' ? at(thrown, 'errors') : undefined
  if (!Array.isArray(errors)) return { ...packed, ...cause }
  return { ...packed, ...cause, errors: errors.slice(0, 10).map((inner) => pack(inner, depth - 1, whole)) }
}

/** Whether a value is an error of any realm, or an instance of a class of errors. */
function isError(value: unknown): boolean {
  return types.isNativeError(value) || safely(() => value instanceof Error) === true
}

function typeOf(thrown: object): string {
  if (thrown instanceof CacheError) return 'CacheError'
  if (thrown instanceof AggregateError) return 'AggregateError'
  if (thrown instanceof Error) return TYPES.find((name) => thrown instanceof globalThis[name]) ?? 'Error'
  if (!types.isNativeError(thrown)) return 'Error'
  // The classes of another realm have the same names.
  for (let above = Object.getPrototypeOf(thrown) as object | null; above !== null;) {
    const name = textAt(above, 'name')
    if (name === 'AggregateError' || TYPES.some((known) => known === name)) return name as string
    above = Object.getPrototypeOf(above) as object | null
  }
  return 'Error'
}

function nameOf(thrown: object): string {
  const name = textAt(thrown, 'name')
  if (name !== undefined && (name !== '' || isError(thrown))) return name
  const constructor = at(thrown, 'constructor')
  const ofClass = typeof constructor === 'function' ? textAt(constructor, 'name') : undefined
  return ofClass === undefined || ofClass === '' || ofClass === 'Object' ? 'Error' : ofClass
}

/** The message; without one, a description such as `an instance of Response, 404 Not Found`. */
function messageOf(thrown: object): string {
  const message = at(thrown, 'message')
  const text = typeof message === 'string' ? message : safely(() => String(message))
  if (message !== undefined && text !== undefined && (text !== '' || isError(thrown))) return text
  if (isError(thrown)) return ''
  const status = ['status', 'statusText'].map((name) => safely(() => String(at(thrown, name) ?? '')) ?? '')
  const what = safely(() => describe(thrown)) ?? 'an unreadable value'
  return [what, status.filter((part) => part !== '').join(' ')].filter((part) => part !== '').join(', ')
}

/** Properties that are kept although a class may have them as getters. */
const KNOWN = ['code', 'status', 'statusCode', 'statusText']

const STANDARD: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause'])

/** The own properties that can be stored; if not all have room, the known ones first. */
function ownOf(
  thrown: object,
  type: string,
  depth: number,
  whole: boolean,
): Pick<PackedError, 'own' | 'inner' | 'hidden'> {
  const own = bare<unknown>()
  const inner = bare<Packed>()
  const hidden: string[] = []
  let room = whole ? Number.POSITIVE_INFINITY : MAX_OWN_BYTES
  for (const name of new Set([...KNOWN, ...Object.getOwnPropertyNames(thrown).slice(0, MAX_OWN)])) {
    if (STANDARD.has(name) || isOf(type, name)) continue
    const value = at(thrown, name)
    const size = value === undefined ? undefined : sizeOf(value)
    if (size === undefined && depth > 0 && isError(value)) inner[name] = pack(value, depth - 1, whole)
    if (size === undefined || size > room) continue
    room -= size
    own[name] = value
    if (Object.hasOwn(thrown, name) && !Object.prototype.propertyIsEnumerable.call(thrown, name)) hidden.push(name)
  }
  return { own, inner, hidden }
}

/** Whether a property belongs to the class, and is packed with it. */
function isOf(type: string, name: string): boolean {
  return (type === 'AggregateError' && name === 'errors') || (type === 'CacheError' && name === 'hint')
}

function bare<T>(): Record<string, T> {
  return Object.create(null) as Record<string, T>
}

/** Undefined also if the read throws. */
function at(object: object, name: string): unknown {
  return safely(() => (object as Record<string, unknown>)[name])
}

function textAt(object: object, name: string): string | undefined {
  const text = at(object, name)
  return typeof text === 'string' ? text : undefined
}

/** The bytes that a value takes; undefined: it cannot be stored. */
function sizeOf(value: unknown): number | undefined {
  return encodeWithin({ value })?.length
}

function unpack(packed: Packed): unknown {
  if ('value' in packed) return packed.value
  const { type, name, message, stack, hint, own, inner, hidden, cause, errors } = packed.error
  const error = emptyError(type, message, { hint, code: own?.code, errors: errors?.map(unpack) ?? [] })
  if (error.name !== name) hide(error, 'name', name)
  if (stack !== undefined) hide(error, 'stack', stack)
  if (cause !== undefined) hide(error, 'cause', unpack(cause))
  for (const [key, value] of Object.entries(own ?? {})) define(error, key, value, hidden?.includes(key) !== true)
  for (const [key, value] of Object.entries(inner ?? {})) define(error, key, unpack(value), true)
  return error
}

function emptyError(
  type: string,
  message: string,
  { hint, code, errors }: { hint: string | undefined; code: unknown; errors: unknown[] },
): Error {
  if (type === 'CacheError') return new CacheError(code as CacheErrorCode, message, { hint })
  if (type === 'AggregateError') return new AggregateError(errors, message)
  const known = TYPES.find((name) => name === type)
  return known === undefined ? new Error(message) : new globalThis[known](message)
}

function hide(error: Error, name: string, value: unknown): void {
  define(error, name, value, false)
}

function define(error: Error, name: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, name, { value, enumerable, writable: true, configurable: true })
}

function safely<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}
