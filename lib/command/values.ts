/**
 * Values as JSON and back: the form of `--json`, which `set` also accepts.
 *
 * A value that JSON preserves is itself. Every other value is an object with `$type`: `{ "$type": "Date", "value":
 * "2026-01-01T00:00:00.000Z" }`. Binary values are base64. An object of the user that has a property `$type` or
 * `__proto__` is written as its entries, `{ "$type": "Object", "value": [["$type", 1]] }`. Errors, holes of arrays and
 * cycles can be read only.
 */
import { types } from 'node:util'
import type { Key } from '../arguments/keys.ts'

/** A text that is no value in this form. */
export class FormError extends Error {}

const BINARY = {
  Int8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
} as const

/** A value as JSON can hold it. */
export function toJsonForm(value: unknown): unknown {
  return form(value, [])
}

/** A key as JSON can hold it: text, or bytes in the form of a Buffer. */
export function toKeyForm(key: Key): unknown {
  return typeof key === 'string' ? key : typed('Buffer', Buffer.from(key).toString('base64'))
}

function form(value: unknown, around: readonly object[]): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : typed('number', Object.is(value, -0) ? '-0' : String(value))
    case 'bigint':
      return typed('bigint', String(value))
    case 'undefined':
      return { $type: 'undefined' }
    case 'object':
      return value === null ? null : objectForm(value, around)
    default:
      return value
  }
}

function typed(type: string, value: unknown): object {
  return { $type: type, value }
}

function objectForm(value: object, outer: readonly object[]): unknown {
  if (outer.includes(value)) return { $type: 'cycle' }
  const around = [...outer, value]
  const inner = (part: unknown): unknown => form(part, around)
  if (types.isDate(value)) return typed('Date', Number.isNaN(value.getTime()) ? null : value.toISOString())
  if (types.isRegExp(value)) return typed('RegExp', [value.source, value.flags])
  if (types.isMap(value))
    return typed(
      'Map',
      Array.from(value, ([key, part]) => [inner(key), inner(part)]),
    )
  if (types.isSet(value)) return typed('Set', Array.from(value, inner))
  if (types.isNativeError(value)) return typed('Error', errorForm(value, inner))
  if (Buffer.isBuffer(value)) return typed('Buffer', value.toString('base64'))
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    return typed(Object.prototype.toString.call(value).slice(8, -1), bytes.toString('base64'))
  }
  if (types.isAnyArrayBuffer(value)) return typed('ArrayBuffer', Buffer.from(value).toString('base64'))
  if (Array.isArray(value)) {
    return Array.from({ length: value.length }, (_, i) => (i in value ? inner(value[i]) : { $type: 'hole' }))
  }
  const entries = Object.entries(value).map(([name, part]) => [name, inner(part)] as const)
  const isPlain = !entries.some(([name]) => name === '$type' || name === '__proto__')
  return isPlain ? Object.fromEntries(entries) : typed('Object', entries)
}

function errorForm(error: Error, inner: (part: unknown) => unknown): object {
  const { name, message, stack } = error
  const own = Object.entries(error).map(([property, part]) => [property, inner(part)])
  const cause = 'cause' in error ? { cause: inner(error.cause) } : {}
  return { name, message, stack, ...cause, ...Object.fromEntries(own) }
}

/** The value of a form. Throws a `FormError`. */
export function fromJsonForm(document: unknown): unknown {
  if (typeof document !== 'object' || document === null) return document
  if (Array.isArray(document)) return document.map(fromJsonForm)
  if (!('$type' in document)) {
    return Object.fromEntries(Object.entries(document).map(([name, part]) => [name, fromJsonForm(part)]))
  }
  return fromTyped(document as { $type: unknown; value?: unknown })
}

function fromTyped({ $type, value }: { $type: unknown; value?: unknown }): unknown {
  switch ($type) {
    case 'undefined':
      return undefined
    case 'number':
      return value === '-0'
        ? -0
        : checked(Number(value), ['NaN', 'Infinity', '-Infinity'].includes(String(value)), $type)
    case 'bigint':
      return checked(value, /^-?\d+$/.test(String(value)), $type) && BigInt(value as string)
    case 'Date':
      return new Date(value === null ? Number.NaN : (checked(value, isDate(value), $type) as string))
    case 'RegExp':
      return regExpOf(list(value, $type))
    case 'Map':
      return new Map(list(value, $type).map((pair) => pairOf(pair, $type)))
    case 'Set':
      return new Set(list(value, $type).map(fromJsonForm))
    case 'Object':
      return objectOf(list(value, $type).map((pair) => pairOf(pair, $type)))
    case 'Buffer':
      return bytesOf(value, $type)
    case 'Uint8Array':
      return new Uint8Array(bytesOf(value, $type))
    case 'ArrayBuffer':
      return arrayBufferOf(value, $type)
    case 'DataView':
      return new DataView(arrayBufferOf(value, $type))
    default:
      return binaryOf($type, value)
  }
}

function checked(value: unknown, isRight: boolean, type: string): unknown {
  if (isRight) return value
  throw new FormError(`{"$type":"${type}"} has a wrong value`)
}

function isDate(value: unknown): boolean {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}

function list(value: unknown, type: string): unknown[] {
  return checked(value, Array.isArray(value), type) as unknown[]
}

function pairOf(pair: unknown, type: string): [unknown, unknown] {
  const [key, value] = checked(pair, Array.isArray(pair) && pair.length === 2, type) as [unknown, unknown]
  return [fromJsonForm(key), fromJsonForm(value)]
}

function objectOf(entries: readonly [unknown, unknown][]): object {
  const object = {}
  for (const [name, value] of entries) {
    Object.defineProperty(object, String(name), { value, enumerable: true, configurable: true, writable: true })
  }
  return object
}

function regExpOf([source, flags]: readonly unknown[]): RegExp {
  try {
    return new RegExp(String(source), String(flags ?? ''))
  } catch {
    throw new FormError('{"$type":"RegExp"} has a wrong value')
  }
}

function bytesOf(value: unknown, type: string): Buffer {
  const isBase64 = typeof value === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0
  return Buffer.from(checked(value, isBase64, type) as string, 'base64')
}

function arrayBufferOf(value: unknown, type: string): ArrayBuffer {
  const bytes = bytesOf(value, type)
  const buffer = new ArrayBuffer(bytes.length)
  new Uint8Array(buffer).set(bytes)
  return buffer
}

function binaryOf(type: unknown, value: unknown): unknown {
  if (typeof type !== 'string' || !Object.hasOwn(BINARY, type)) {
    throw new FormError(`"$type" is ${JSON.stringify(type)}, which set does not accept`)
  }
  const Kind = BINARY[type as keyof typeof BINARY]
  const buffer = arrayBufferOf(value, type)
  return new Kind(checked(buffer, buffer.byteLength % Kind.BYTES_PER_ELEMENT === 0, type) as ArrayBuffer)
}
