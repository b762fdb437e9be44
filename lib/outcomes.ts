/**
 * How a load ended, as bytes for those who waited for it in other processes: a value that is not kept, or an error.
 *
 * An error comes out with the name, message, stack, cause and own properties that it had, as far as they can be stored; of the
 * class that it had if that is one of the language's or `CacheError`, else as an `Error` of its name. The thing to get wrong:
 * errors of strangers. A getter may throw, a cause may be its own cause; whatever happens, something is told.
 */
import { CacheError } from './errors.ts'
import type { CacheErrorCode } from './errors.ts'
import { decodeStructured, encodeStructured } from './codec/structured.ts'

/** What those who waited get. */
export type Outcome = { readonly value: unknown } | { readonly error: unknown }

/** The longest that the native side keeps. */
const MOST_BYTES = 8192
/** Causes of causes. */
const DEEPEST = 5
const LONGEST_MESSAGE = 1000
const NOTHING = new Uint8Array()

const TYPES = ['TypeError', 'RangeError', 'SyntaxError', 'ReferenceError', 'EvalError', 'URIError'] as const

/** What is told of an error. */
interface Told {
  readonly type: string
  readonly name: string
  readonly message: string
  readonly stack?: string | undefined
  readonly hint?: string
  readonly own?: Record<string, unknown>
  /** Absent where the error has none. */
  readonly cause?: Packed
  readonly errors?: readonly Packed[]
}

/** A value, or what is told of an error. */
type Packed = { readonly value: unknown } | { readonly error: Told }

/** The bytes of an outcome; empty where nothing can be told. */
export function packOutcome(outcome: Outcome): Uint8Array {
  if ('value' in outcome) return encodeWithin(outcome) ?? NOTHING
  const told = (depth: number, whole: boolean): Uint8Array | undefined =>
    safely(() => encodeWithin({ thrown: pack(outcome.error, depth, whole) }))
  return told(DEEPEST, true) ?? told(0, false) ?? NOTHING
}

/** The outcome of bytes; undefined where nothing was told, or the bytes are damaged. */
export function unpackOutcome(bytes: Uint8Array): Outcome | undefined {
  if (bytes.length === 0) return undefined
  try {
    const packed = decodeStructured(bytes) as { value: unknown } | { thrown: Packed }
    return 'thrown' in packed ? { error: unpack(packed.thrown) } : { value: packed.value }
  } catch {
    return undefined
  }
}

function encodeWithin(packed: object): Uint8Array | undefined {
  try {
    const bytes = encodeStructured(packed)
    return bytes.length <= MOST_BYTES ? Uint8Array.from(bytes) : undefined
  } catch {
    return undefined
  }
}

function pack(thrown: unknown, depth: number, whole: boolean): Packed {
  if (!(thrown instanceof Error)) return isStorable(thrown) ? { value: thrown } : { value: String(thrown) }
  const { name, message, stack } = thrown
  const told: Told = {
    type: typeOf(thrown),
    name: String(name),
    message: whole ? String(message) : String(message).slice(0, LONGEST_MESSAGE),
    ...(thrown instanceof CacheError && { hint: thrown.hint }),
    ...(whole && { stack }),
    own: ownOf(thrown, whole),
  }
  if (depth === 0) return { error: told }
  const cause = 'cause' in thrown ? { cause: pack(thrown.cause, depth - 1, whole) } : {}
  const errors =
    thrown instanceof AggregateError
      ? { errors: thrown.errors.slice(0, 10).map((inner) => pack(inner, depth - 1, whole)) }
      : {}
  return { error: { ...told, ...cause, ...errors } }
}

function typeOf(error: Error): string {
  if (error instanceof CacheError) return 'CacheError'
  if (error instanceof AggregateError) return 'AggregateError'
  return TYPES.find((name) => error instanceof globalThis[name]) ?? 'Error'
}

/** Its own properties that can be stored, `code` first of all. */
function ownOf(error: Error, whole: boolean): Record<string, unknown> {
  const own: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const name of whole ? Object.keys(error) : ['code']) {
    const value = safely(() => (error as unknown as Record<string, unknown>)[name])
    if (value !== undefined && !TOLD.has(name) && isStorable(value)) own[name] = value
  }
  return own
}

const TOLD: ReadonlySet<string> = new Set(['name', 'message', 'stack', 'cause', 'errors', 'hint'])

function isStorable(value: unknown): boolean {
  return encodeWithin({ value }) !== undefined
}

function unpack(packed: Packed): unknown {
  if ('value' in packed) return packed.value
  const { type, name, message, stack, hint, own, cause, errors } = packed.error
  const error = emptyError(type, message, { hint, code: own?.code, errors: errors?.map(unpack) ?? [] })
  if (error.name !== name) hide(error, 'name', name)
  if (stack !== undefined) hide(error, 'stack', stack)
  if (cause !== undefined) hide(error, 'cause', unpack(cause))
  for (const [key, value] of Object.entries(own ?? {})) {
    Object.defineProperty(error, key, { value, enumerable: true, writable: true, configurable: true })
  }
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
  Object.defineProperty(error, name, { value, enumerable: false, writable: true, configurable: true })
}

function safely<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}
