/// <reference lib="es2024.arraybuffer" />
/// <reference lib="es2024.string" />
/**
 * The encoder of the structured format: from a value to the bytes of `format.ts`, in one pass. A part that cannot be
 * stored is refused with its path.
 *
 * Every property is read once.
 *
 * Caution: reads run code of the caller, in getters and Proxies, which may change the value or encode another one. So
 * each length is read once, and the contents must fit it; and an encoder is never shared, see `structured.ts`.
 */
import { types } from 'node:util'
import { CacheError } from '../errors.ts'
import {
  BYTES,
  ERROR_FIELDS,
  HEADER_LENGTH,
  MAX_DEPTH,
  MAX_REGEXP_COST,
  NODE_ENCODINGS,
  PAGE_LENGTH,
  Tag,
  TextEncoding,
  VERSION,
  regExpCost,
} from './format.ts'
import { bytesType, describe, errorType, extraName, isDense, isLost, kindOfObject } from './kinds.ts'
import { keyStep, propertyNamed, refusal, valueStep } from './refusal.ts'
import type { Step } from './refusal.ts'
import { forgetOutgoing, outgoingShape } from './shapes.ts'

/** Maximum size of a token without its contents. */
const MAX_TOKEN = 16

/** Maximum number of objects that are searched linearly; more are kept in a Map. */
const MAX_FEW = 16

const MIN_BUFFER = 16_384

const MAX_BUFFER = 2 ** 31

/** Maximum size of a buffer that is kept for the next value. */
const MAX_KEPT = 1 << 20

/** Identifies values in the shapes, which outlive them. */
let values = 0

/** Encodes one value at a time. The returned bytes belong to it and are valid until the next value. */
export class Encoder {
  #buffer = Buffer.allocUnsafeSlow(MIN_BUFFER)
  #at = 0
  #page = ''
  #pages: string[] = []
  /** The numbered objects: few of them in a list, which is faster to search, many in a Map; see `#number`. */
  #few: object[] = []
  #many: Map<object, number> | undefined
  #value = 0
  #shapes = 0
  #regExpCost = 0
  /** The present path. Valid up to the present depth. */
  #steps: Step[] = []

  /** The bytes of `value`. */
  encode(value: unknown): Buffer {
    try {
      this.#at = HEADER_LENGTH
      this.#value = ++values
      this.#write(value, 0)
      this.#buffer[0] = VERSION
      this.#buffer.writeUInt32LE(this.#at - HEADER_LENGTH, 1)
      this.#writePages()
      return this.#buffer.subarray(0, this.#at)
    } finally {
      this.#reset()
    }
  }

  /** Releases references to the value, and a buffer that is too large to keep. */
  #reset(): void {
    if (this.#buffer.length > MAX_KEPT) this.#buffer = Buffer.allocUnsafeSlow(MIN_BUFFER)
    if (this.#pages.length > 0) this.#pages = []
    this.#page = ''
    this.#few = []
    this.#many = undefined
    this.#shapes = 0
    this.#regExpCost = 0
    forgetOutgoing()
  }

  #write(value: unknown, depth: number): void {
    this.#reserve(MAX_TOKEN)
    switch (typeof value) {
      case 'string':
        this.#writeString(value)
        break
      case 'number':
        this.#writeNumber(value)
        break
      case 'boolean':
        this.#byte(value ? Tag.True : Tag.False)
        break
      case 'undefined':
        this.#byte(Tag.Undefined)
        break
      case 'bigint':
        this.#writeBigInt(value)
        break
      case 'object':
        if (value === null) this.#byte(Tag.Null)
        else this.#writeObject(value, depth)
        break
      default:
        throw this.#refuse(describe(value), depth)
    }
  }

  #writeString(text: string): void {
    const { length } = text
    if (length < 64) {
      this.#byte(Tag.ShortString + length)
    } else {
      this.#byte(Tag.String)
      this.#varint(length)
    }
    this.#text(text)
  }

  #writeNumber(number: number): void {
    const integer = number | 0
    if (integer !== number || (integer === 0 && Object.is(number, -0))) {
      this.#byte(Tag.Double)
      this.#at = this.#buffer.writeDoubleLE(number, this.#at)
    } else if (integer >= 0 && integer < 128) {
      this.#byte(Tag.SmallInt + integer)
    } else {
      this.#byte(Tag.Int)
      this.#varint(((integer << 1) ^ (integer >> 31)) >>> 0)
    }
  }

  #writeBigInt(bigint: bigint): void {
    if (BigInt.asIntN(64, bigint) === bigint) {
      this.#byte(Tag.BigInt64)
      this.#at = this.#buffer.writeBigInt64LE(bigint, this.#at)
      return
    }
    const text = bigint.toString(16)
    this.#byte(Tag.BigIntText)
    this.#varint(text.length)
    this.#text(text)
  }

  #writeObject(object: object, depth: number): void {
    const number = this.#number(object)
    if (number >= 0) {
      this.#byte(Tag.Reference)
      this.#varint(number)
      return
    }
    if (depth === MAX_DEPTH) throw refusal(`nested in more than ${MAX_DEPTH} levels`, [])
    const kind = kindOfObject(object)
    switch (kind) {
      case 'object':
        this.#checkSymbols(object, depth)
        this.#writeProperties(object, depth)
        break
      case 'null-prototype':
        this.#checkSymbols(object, depth)
        this.#byte(Tag.NullPrototype)
        this.#writeProperties(object, depth)
        break
      case 'array':
        this.#checkSymbols(object, depth)
        this.#writeArray(object as unknown[], depth)
        break
      case undefined:
        throw this.#refuse(describe(object), depth)
      case 'bytes':
        this.#writeBytes(object as ArrayBuffer | NodeJS.ArrayBufferView, depth)
        break
      case 'error':
        this.#checkSymbols(object, depth)
        this.#writeError(object as Error, depth)
        break
      default:
        this.#checkNames(object, depth)
        if (kind === 'date') this.#writeDate(object as Date)
        else if (kind === 'map') this.#writeMap(object as Map<unknown, unknown>, depth)
        else if (kind === 'set') this.#writeSet(object as Set<unknown>, depth)
        else this.#writeRegExp(object as RegExp, depth)
    }
  }

  /** The number of a known object; -1 for a new one, which gets a number. */
  #number(object: object): number {
    if (this.#many !== undefined) {
      const known = this.#many.get(object)
      if (known !== undefined) return known
      this.#many.set(object, this.#many.size)
      return -1
    }
    const position = this.#few.indexOf(object)
    if (position === -1 && this.#few.push(object) > MAX_FEW) {
      this.#many = new Map(this.#few.map((object, number) => [object, number]))
    }
    return position
  }

  #writeProperties(object: object, depth: number): void {
    const names = Object.keys(object)
    const shape = outgoingShape(names)
    this.#byte(Tag.Object)
    if (shape.value === this.#value) {
      this.#varint(shape.id)
    } else {
      this.#byte(0)
      this.#varint(shape.text.length)
      this.#text(shape.text)
      shape.value = this.#value
      shape.id = ++this.#shapes
    }
    for (const name of names) {
      this.#steps[depth] = name
      this.#write((object as Record<string, unknown>)[name], depth + 1)
    }
  }

  #writeArray(array: readonly unknown[], depth: number): void {
    const { length } = array
    if (!isDense(array)) {
      this.#writeKeyedArray(array, length, depth)
      return
    }
    this.#byte(Tag.Array)
    this.#varint(length)
    for (let index = 0; index < length; index++) {
      this.#steps[depth] = index
      this.#write(array[index], depth + 1)
    }
  }

  #writeKeyedArray(array: readonly unknown[], length: number, depth: number): void {
    const names = Object.keys(array)
    this.#byte(Tag.KeyedArray)
    this.#varint(length)
    this.#varint(names.length)
    for (const name of names) {
      const index = Number(name) >>> 0
      const step = String(index) === name && index < length ? index : name
      this.#steps[depth] = step
      this.#write(step, depth + 1)
      this.#write((array as unknown as Record<string, unknown>)[name], depth + 1)
    }
  }

  #writeMap(map: Map<unknown, unknown>, depth: number): void {
    this.#byte(Tag.Map)
    const start = this.#at
    this.#u32(0)
    let count = 0
    Map.prototype.forEach.call(map, (value: unknown, key: unknown) => {
      this.#steps[depth] = keyStep(count)
      this.#write(key, depth + 1)
      this.#steps[depth] = valueStep(count)
      this.#write(value, depth + 1)
      count++
    })
    this.#buffer.writeUInt32LE(count, start)
  }

  #writeSet(set: Set<unknown>, depth: number): void {
    this.#byte(Tag.Set)
    const start = this.#at
    this.#u32(0)
    let count = 0
    Set.prototype.forEach.call(set, (element: unknown) => {
      this.#steps[depth] = valueStep(count++)
      this.#write(element, depth + 1)
    })
    this.#buffer.writeUInt32LE(count, start)
  }

  #writeDate(date: Date): void {
    this.#byte(Tag.Date)
    this.#at = this.#buffer.writeDoubleLE(Date.prototype.getTime.call(date), this.#at)
  }

  #writeRegExp({ source, flags }: RegExp, depth: number): void {
    this.#regExpCost += regExpCost(source, flags)
    if (this.#regExpCost > MAX_REGEXP_COST) throw this.#refuse('a RegExp with too many Unicode properties', depth)
    this.#byte(Tag.RegExp)
    this.#varint(source.length)
    this.#varint(flags.length)
    this.#text(source)
    this.#text(flags)
  }

  /** Writes the own fields of an error as they are, so that `'cause' in error` and the output of logs stay the same. */
  #writeError(error: Error, depth: number): void {
    const fields = ERROR_FIELDS.map((name) => hiddenField(error, name))
    this.#byte(Tag.Error)
    this.#byte(errorType(error) ?? 0)
    this.#byte(fields.reduce((bits, field, i) => (field === undefined ? bits : bits | (1 << i)), 0))
    fields.forEach((field, i) => {
      this.#steps[depth] = ERROR_FIELDS[i] as string
      this.#write(field?.value, depth + 1)
    })
    this.#reserve(MAX_TOKEN)
    this.#writeProperties(error, depth)
  }

  /** Writes the bytes of a view only, not the rest of its buffer. */
  #writeBytes(value: ArrayBuffer | NodeJS.ArrayBufferView, depth: number): void {
    if (types.isTypedArray(value)) this.#checkExtra(value, depth)
    else this.#checkNames(value, depth)
    const type = bytesType(value)
    if (type === -1) throw this.#refuse(describe(value), depth)
    const bytes = this.#settled(value, depth)
    this.#byte(Tag.Bytes)
    this.#byte(type)
    this.#u32(bytes.length)
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
  }

  #settled(value: ArrayBuffer | NodeJS.ArrayBufferView, depth: number): Uint8Array {
    try {
      if (ArrayBuffer.isView(value)) {
        // A DataView throws by itself.
        if (types.isTypedArray(value) && isLost(value)) throw new TypeError('detached')
        return new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
      }
      if (value.resizable === true) throw this.#refuse('a resizable ArrayBuffer', depth)
      return new Uint8Array(value)
    } catch (error) {
      if (!(error instanceof TypeError)) throw error
      throw this.#refuse(`a detached ${BYTES[bytesType(value)]}`, depth)
    }
  }

  /** Refuses symbols as names, and objects that a symbol identifies as something else than plain. */
  #checkSymbols(object: object, depth: number): void {
    const symbols = Object.getOwnPropertySymbols(object)
    if (symbols.length === 0) return
    const symbol = symbols.find((name) => Object.prototype.propertyIsEnumerable.call(object, name))
    if (symbol !== undefined) throw this.#refuseName(symbol, depth)
    if (types.isArgumentsObject(object) || Object.hasOwn(object, Symbol.toStringTag)) {
      throw this.#refuse(describe(object), depth)
    }
  }

  #checkNames(object: object, depth: number): void {
    this.#checkSymbols(object, depth)
    const [name] = Object.keys(object)
    if (name !== undefined) throw this.#refuseName(name, depth)
  }

  #checkExtra(array: NodeJS.TypedArray, depth: number): void {
    const name = extraName(array)
    if (name !== undefined) throw this.#refuseName(name, depth)
  }

  #refuseName(name: string | symbol, depth: number): Error {
    this.#steps[depth] = name
    return this.#refuse(propertyNamed(name), depth + 1)
  }

  #refuse(what: string, depth: number): Error {
    return refusal(what, this.#steps.slice(0, depth))
  }

  // Bytes.

  #reserve(length: number): void {
    if (this.#at + length > this.#buffer.length) this.#grow(length)
  }

  #grow(length: number): void {
    const needed = this.#at + length + MIN_BUFFER
    if (needed > MAX_BUFFER) throw new CacheError('ERR_VALUE_TOO_LARGE', 'the value takes more than 2 GiB')
    const larger = Buffer.allocUnsafeSlow(Math.min(Math.max(this.#buffer.length * 2, needed), MAX_BUFFER))
    larger.set(this.#buffer.subarray(0, this.#at))
    this.#buffer = larger
  }

  #byte(byte: number): void {
    this.#buffer[this.#at++] = byte
  }

  #u32(number: number): void {
    this.#at = this.#buffer.writeUInt32LE(number, this.#at)
  }

  #varint(number: number): void {
    let rest = number
    while (rest > 127) {
      this.#buffer[this.#at++] = (rest & 127) | 128
      rest >>>= 7
    }
    this.#buffer[this.#at++] = rest
  }

  // Text.

  #text(text: string): void {
    if (this.#page.length + text.length > PAGE_LENGTH && this.#page !== '') {
      this.#pages.push(this.#page)
      this.#page = text
    } else {
      this.#page += text
    }
  }

  #writePages(): void {
    for (const page of this.#pages) this.#writePage(page)
    if (this.#page !== '') this.#writePage(this.#page)
  }

  #writePage(page: string): void {
    const encoding = encodingOf(page)
    this.#reserve(
      HEADER_LENGTH + page.length * (encoding === TextEncoding.Latin1 ? 1 : encoding === TextEncoding.Utf8 ? 3 : 2),
    )
    const at = this.#at
    const length = this.#buffer.write(page, at + HEADER_LENGTH, NODE_ENCODINGS[encoding])
    this.#byte(encoding)
    this.#u32(length)
    this.#at = at + HEADER_LENGTH + length
  }
}

/**
 * An own field of an error that is not enumerable; undefined: it has none.
 *
 * V8 makes the stack at its first read, from name and message. If these are objects without text, such as the error
 * itself, the read throws, and the error has no stack to store. In Node 20 this read is that of the descriptor, in
 * later versions that of the value.
 */
function hiddenField(error: Error, name: (typeof ERROR_FIELDS)[number]): { readonly value: unknown } | undefined {
  try {
    const field = Object.getOwnPropertyDescriptor(error, name)
    return field?.enumerable === false ? { value: error[name as keyof Error] } : undefined
  } catch (cause) {
    if (name !== 'stack') throw cause
    return undefined
  }
}

function encodingOf(page: string): number {
  if (!/[^\0-\xFF]/.test(page)) return TextEncoding.Latin1
  return page.isWellFormed() ? TextEncoding.Utf8 : TextEncoding.Utf16
}
