/**
 * The decoder of the structured format: from the bytes of `format.ts`, even hostile ones, to a value.
 *
 * Decoding creates data only: it changes no prototype, and runs no setter and no code. Time and memory are bounded by
 * the number of bytes: each allocation has a token, and all open containers together may not expect more values than
 * there are bytes left.
 *
 * Caution: an object is numbered before its contents are read. Otherwise all later references are off by one.
 */
import { CacheError } from '../errors.ts'
import {
  BYTES,
  ERRORS,
  ERROR_FIELDS,
  HEADER_LENGTH,
  MAX_DEPTH,
  MAX_REGEXP_COST,
  NODE_ENCODINGS,
  Tag,
  VERSION,
  corrupt,
  regExpCost,
} from './format.ts'
import { assign, incomingShape, instantiate, instantiateBare, scattered } from './shapes.ts'
import type { Shape } from './shapes.ts'

/**
 * The order in which the fields of an error are set. When the stack is replaced, V8 first makes the text of the present
 * one from name and message, which throws if the message is the error itself.
 */
const STACK_FIRST = [...ERROR_FIELDS.keys()].toSorted((a, b) => rank(a) - rank(b))

function rank(field: number): number {
  return ERROR_FIELDS[field] === 'stack' ? 0 : 1
}

/** Decodes one value, once. */
export class Decoder {
  readonly #bytes: Buffer
  #at = HEADER_LENGTH
  /** Where the tokens end and the pages begin. */
  readonly #end: number
  /** The number of values that the open containers still expect. Each takes at least a byte. */
  #owed = 0
  #page = ''
  #pageAt = 0
  #nextPage: number
  readonly #objects: object[] = []
  readonly #shapes: Shape[] = []
  #regExpCost = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    if (bytes.length < HEADER_LENGTH) throw corrupt('too short')
    if (bytes[0] !== VERSION) {
      throw new CacheError(
        'ERR_CODEC_MISMATCH',
        `the value has the format ${bytes[0]}, and this version reads ${VERSION}`,
      )
    }
    this.#end = HEADER_LENGTH + this.#bytes.readUInt32LE(1)
    if (this.#end > bytes.length) throw corrupt('cut off')
    this.#nextPage = this.#end
  }

  decode(): unknown {
    this.#owe(1)
    const value = this.#read(0)
    if (this.#at !== this.#end || this.#pageAt !== this.#page.length || this.#nextPage !== this.#bytes.length) {
      throw corrupt('more than one value')
    }
    return value
  }

  #read(depth: number): unknown {
    this.#owed--
    const tag = this.#byte()
    if (tag >= Tag.SmallInt) return tag - Tag.SmallInt
    if (tag >= Tag.ShortString) return this.#text(tag - Tag.ShortString)
    switch (tag) {
      case Tag.Null:
        return null
      case Tag.Undefined:
        return undefined
      case Tag.False:
        return false
      case Tag.True:
        return true
      case Tag.Int:
        return this.#readInt()
      case Tag.Double:
        return this.#bytes.readDoubleLE(this.#skip(8))
      case Tag.String:
        return this.#text(this.#varint())
      case Tag.BigInt64:
        return this.#bytes.readBigInt64LE(this.#skip(8))
      case Tag.BigIntText:
        return this.#readBigInt()
      case Tag.Reference:
        return this.#readReference()
      case Tag.Date:
        return this.#keep(new Date(this.#bytes.readDoubleLE(this.#skip(8))))
      case Tag.RegExp:
        return this.#readRegExp()
      case Tag.Bytes:
        return this.#readBytes()
      default:
        if (depth === MAX_DEPTH) throw corrupt(`nested in more than ${MAX_DEPTH} levels`)
        return this.#readContainer(tag, depth + 1)
    }
  }

  #readContainer(tag: number, depth: number): unknown {
    switch (tag) {
      case Tag.Object:
        return this.#readObject(instantiate, depth)
      case Tag.NullPrototype:
        if (this.#byte() !== Tag.Object) throw corrupt('no object')
        return this.#readObject(instantiateBare, depth)
      case Tag.Array:
        return this.#readArray(depth)
      case Tag.KeyedArray:
        return this.#readKeyedArray(depth)
      case Tag.Map:
        return this.#readMap(depth)
      case Tag.Set:
        return this.#readSet(depth)
      case Tag.Error:
        return this.#readError(depth)
      default:
        throw corrupt(`the unknown tag ${tag}`)
    }
  }

  #readInt(): number {
    const zigzag = this.#varint()
    return (zigzag >>> 1) ^ -(zigzag & 1)
  }

  #readBigInt(): bigint {
    const text = this.#text(this.#varint())
    const isNegative = text.startsWith('-')
    const digits = isNegative ? text.slice(1) : text
    if (!/^[\da-f]+$/.test(digits)) throw corrupt('no bigint')
    const magnitude = guarded('no bigint', () => BigInt(`0x${digits}`))
    return isNegative ? -magnitude : magnitude
  }

  #readReference(): unknown {
    const object = this.#objects[this.#varint()]
    if (object === undefined) throw corrupt('a reference to nothing')
    return object
  }

  #readRegExp(): RegExp {
    const sourceLength = this.#varint()
    const flagsLength = this.#varint()
    const source = this.#text(sourceLength)
    const flags = this.#text(flagsLength)
    this.#regExpCost += regExpCost(source, flags)
    if (this.#regExpCost > MAX_REGEXP_COST) throw corrupt('a RegExp with too many Unicode properties')
    return this.#keep(guarded('no RegExp', () => new RegExp(source, flags)))
  }

  #readBytes(): object {
    const type = BYTES[this.#byte()]
    const length = this.#u32()
    const start = this.#skip(length)
    if (type === undefined) throw corrupt('unknown bytes')
    return this.#keep(copyAs(type, this.#bytes.subarray(start, start + length)))
  }

  #readObject(create: (shape: Shape) => Record<string, unknown>, depth: number): object {
    const shape = this.#shape()
    const { names } = shape
    this.#owe(names.length)
    const object = this.#keep(create(shape))
    if (shape.template === undefined) {
      for (const name of names) assign(object, name, this.#read(depth))
    } else {
      // The names are own properties already, so no name reaches the prototype.
      for (let i = 0; i < names.length; i++) object[names[i] as string] = this.#read(depth)
    }
    return object
  }

  #shape(): Shape {
    const id = this.#varint()
    if (id > 0) {
      const known = this.#shapes[id - 1]
      if (known === undefined) throw corrupt('an unknown shape')
      return known
    }
    const shape = incomingShape(this.#text(this.#varint()))
    this.#shapes.push(shape)
    return shape
  }

  #readArray(depth: number): unknown[] {
    const length = this.#varint()
    this.#owe(length)
    const array = this.#keep([] as unknown[])
    for (let i = 0; i < length; i++) array.push(this.#read(depth))
    return array
  }

  #readKeyedArray(depth: number): unknown[] {
    const length = this.#varint()
    const count = this.#varint()
    this.#owe(2 * count)
    const array = this.#keep(emptyArray(length, count))
    for (let i = 0; i < count; i++) {
      const name = this.#read(depth)
      const value = this.#read(depth)
      if (!isElementName(name, length)) throw corrupt('no name of an element')
      define(array, name, value, true)
    }
    return array
  }

  #readMap(depth: number): Map<unknown, unknown> {
    const count = this.#u32()
    this.#owe(2 * count)
    const map = this.#keep(new Map<unknown, unknown>())
    for (let i = 0; i < count; i++) {
      const key = this.#read(depth)
      map.set(key, this.#read(depth))
    }
    if (map.size !== count) throw corrupt('a key that is there twice')
    return map
  }

  #readSet(depth: number): Set<unknown> {
    const count = this.#u32()
    this.#owe(count)
    const set = this.#keep(new Set<unknown>())
    for (let i = 0; i < count; i++) set.add(this.#read(depth))
    if (set.size !== count) throw corrupt('an element that is there twice')
    return set
  }

  #readError(depth: number): Error {
    const type = ERRORS[this.#byte()]
    const bits = this.#byte()
    if (type === undefined || bits >= 1 << ERROR_FIELDS.length) throw corrupt('an unknown error')
    const error = this.#keep(emptyError(type))
    this.#owe(ERROR_FIELDS.length + 1)
    // Without a callback: each level of nesting takes as little of the stack as possible.
    const values: unknown[] = []
    while (values.length < ERROR_FIELDS.length) values.push(this.#read(depth))
    for (const i of STACK_FIRST) {
      const name = ERROR_FIELDS[i] as string
      if ((bits & (1 << i)) !== 0) define(error, name, values[i], false)
      else if (Object.hasOwn(error, name)) delete error[name as 'cause']
    }
    this.#owed--
    if (this.#byte() !== Tag.Object) throw corrupt('an error without an object')
    const { names, template } = this.#shape()
    this.#owe(names.length)
    if (template === undefined) scattered(error)
    for (const name of names) define(error, name, this.#read(depth), true)
    return error
  }

  /** Numbers an object for references. */
  #keep<T extends object>(object: T): T {
    this.#objects.push(object)
    return object
  }

  /** A container expects this many values. */
  #owe(count: number): void {
    this.#owed += count
    if (this.#owed > this.#end - this.#at) throw corrupt('more values than bytes')
  }

  // Bytes.

  #byte(): number {
    if (this.#at >= this.#end) throw corrupt('cut off')
    return this.#bytes[this.#at++] as number
  }

  /** Skips this many bytes; returns their position. */
  #skip(length: number): number {
    const start = this.#at
    if (length > this.#end - start) throw corrupt('cut off')
    this.#at = start + length
    return start
  }

  #u32(): number {
    return this.#bytes.readUInt32LE(this.#skip(4))
  }

  #varint(): number {
    let number = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte()
      number |= (byte & 127) << shift
      if (byte < 128) return number >>> 0
    }
    throw corrupt('a number that does not end')
  }

  // Text.

  #text(length: number): string {
    if (length === 0) return ''
    if (this.#pageAt === this.#page.length) this.#turnPage()
    const start = this.#pageAt
    const end = start + length
    if (end > this.#page.length) throw corrupt('text that is cut off')
    this.#pageAt = end
    return this.#page.slice(start, end)
  }

  #turnPage(): void {
    const start = this.#nextPage + HEADER_LENGTH
    if (start > this.#bytes.length) throw corrupt('text that is cut off')
    const encoding = NODE_ENCODINGS[this.#bytes[this.#nextPage] as number]
    const end = start + this.#bytes.readUInt32LE(this.#nextPage + 1)
    if (encoding === undefined || end > this.#bytes.length) throw corrupt('text that is cut off')
    this.#page = this.#bytes.toString(encoding, start, end)
    this.#pageAt = 0
    this.#nextPage = end
  }
}

/** Turns an error of the language into the error for damaged bytes. */
function guarded<T>(what: string, make: () => T): T {
  try {
    return make()
  } catch (error) {
    throw corrupt(what, error)
  }
}

type BytesType = (typeof BYTES)[number]
type ViewConstructor = new (buffer: ArrayBuffer) => ArrayBufferView

function copyAs(type: BytesType, bytes: Buffer): object {
  if (type === 'Buffer') return Buffer.from(bytes)
  const { buffer } = Uint8Array.from(bytes)
  if (type === 'ArrayBuffer') return buffer
  const View = (globalThis as unknown as Partial<Record<BytesType, ViewConstructor>>)[type]
  if (View === undefined) {
    throw new CacheError(
      'ERR_CODEC_MISMATCH',
      `the value has a ${type}, which Node ${process.versions.node} does not support`,
    )
  }
  return guarded(`no ${type}`, () => new View(buffer))
}

/** An error without the stack of this place, which is expensive and is replaced anyway. */
function emptyError(type: (typeof ERRORS)[number]): Error {
  const limit = Object.getOwnPropertyDescriptor(Error, 'stackTraceLimit')
  const isOurs = limit?.writable === true
  if (isOurs) Error.stackTraceLimit = 0
  try {
    return type === 'AggregateError' ? new AggregateError([]) : new globalThis[type]()
  } finally {
    if (isOurs) Error.stackTraceLimit = limit.value as number
  }
}

/** An empty array of this length. If few of its elements will be set, its length must not cost memory. */
function emptyArray(length: number, count: number): unknown[] {
  const array = length > 16 + 2 * count ? scattered<unknown[]>([]) : []
  array.length = length
  return array
}

/** Whether a name fits the array. A string that is an index would change its length. */
function isElementName(name: unknown, length: number): name is string | number {
  if (typeof name === 'number') return Number.isInteger(name) && name >= 0 && name < length
  return typeof name === 'string' && name !== 'length' && !isIndex(name)
}

/** Whether a string is an index. `00` and `4294967295` are not. */
function isIndex(name: string): boolean {
  const index = Number(name) >>> 0
  return String(index) === name && index !== 2 ** 32 - 1
}

function define(object: object, name: string | number, value: unknown, enumerable: boolean): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable, configurable: true })
}
