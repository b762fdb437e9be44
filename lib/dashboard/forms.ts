/**
 * Keys and values as the page gets them: as what they are, and bounded, so that a value of any size can be shown.
 */
import { types } from 'node:util'
import type { Key } from '../arguments/keys.ts'

/** A key in JSON. */
export interface KeyForm {
  /** The text of a key that is text. */
  readonly text?: string
  /** The bytes of any other key, as hexadecimal digits. */
  readonly hex?: string
}

export function keyForm(key: Key): KeyForm {
  return typeof key === 'string' ? { text: key } : { hex: Buffer.from(key).toString('hex') }
}

/** A part of a value. `size` counts all parts or characters or bytes, also those that are left out. */
export type ValueForm =
  | { readonly type: string; readonly text: string; readonly size?: number }
  | { readonly type: string; readonly size: number; readonly bytes: string }
  | { readonly type: string; readonly size: number; readonly items: readonly ValueForm[] }
  | { readonly type: string; readonly size: number; readonly entries: readonly (readonly [ValueForm, ValueForm])[] }

/** Maximum number of parts of a form. */
const MAX_PARTS = 5000
/** Maximum number of parts of one object. */
const MAX_CHILDREN = 500
const MAX_DEPTH = 60
const MAX_TEXT = 20_000
const MAX_BYTES = 4096

/** The form of a value. */
export function valueForm(value: unknown): ValueForm {
  return new Former().form(value, [])
}

class Former {
  #left = MAX_PARTS

  form(value: unknown, around: readonly object[]): ValueForm {
    this.#left--
    switch (typeof value) {
      case 'string':
        return { type: 'string', text: value.slice(0, MAX_TEXT), size: value.length }
      case 'object':
        return value === null ? { type: 'null', text: 'null' } : this.#object(value, around)
      case 'number':
        return { type: 'number', text: Object.is(value, -0) ? '-0' : String(value) }
      case 'bigint':
        return { type: 'bigint', text: `${String(value).slice(0, MAX_TEXT)}n` }
      default:
        return { type: typeof value, text: String(value) }
    }
  }

  #object(value: object, around: readonly object[]): ValueForm {
    if (around.includes(value)) return { type: 'cycle', text: 'the object around it' }
    if (types.isDate(value)) {
      return { type: 'Date', text: Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString() }
    }
    if (types.isRegExp(value)) return { type: 'RegExp', text: String(value) }
    const bytes = bytesOf(value)
    if (bytes !== undefined) {
      return { type: nameOf(value), size: bytes.length, bytes: bytes.subarray(0, MAX_BYTES).toString('base64') }
    }
    const inside = [...around, value]
    if (types.isMap(value)) return this.#entries('Map', value.size, value.entries(), inside)
    if (types.isSet(value)) return this.#items('Set', value.size, value.values(), inside)
    if (Array.isArray(value)) return this.#items('Array', value.length, value.values(), inside)
    if (types.isNativeError(value)) return this.#error(value, inside)
    const names = Object.keys(value)
    const entries = names.map((name) => [name, (value as Record<string, unknown>)[name]] as const)
    return this.#entries('Object', names.length, entries, inside)
  }

  #error(error: Error, around: readonly object[]): ValueForm {
    const { name, message, stack } = error
    const own = Object.entries({ ...error, name, message, stack })
    if ('cause' in error) own.push(['cause', error.cause])
    return this.#entries('Error', own.length, own, around)
  }

  #items(type: string, size: number, values: Iterable<unknown>, around: readonly object[]): ValueForm {
    const items: ValueForm[] = []
    for (const value of values) {
      if (!this.#hasRoom(items.length, around)) break
      items.push(this.form(value, around))
    }
    return { type, size, items }
  }

  #entries(
    type: string,
    size: number,
    pairs: Iterable<readonly [unknown, unknown]>,
    around: readonly object[],
  ): ValueForm {
    const entries: [ValueForm, ValueForm][] = []
    for (const [key, value] of pairs) {
      if (!this.#hasRoom(entries.length, around)) break
      entries.push([this.form(key, around), this.form(value, around)])
    }
    return { type, size, entries }
  }

  #hasRoom(children: number, around: readonly object[]): boolean {
    return this.#left > 0 && children < MAX_CHILDREN && around.length <= MAX_DEPTH
  }
}

function bytesOf(value: object): Buffer | undefined {
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  return types.isAnyArrayBuffer(value) ? Buffer.from(value) : undefined
}

function nameOf(value: object): string {
  return Buffer.isBuffer(value) ? 'Buffer' : Object.prototype.toString.call(value).slice(8, -1)
}
