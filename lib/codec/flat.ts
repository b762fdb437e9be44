/**
 * The flat format: flat objects of a known shape as text, in less than half the time of JSON, both ways.
 *
 * A flat object is a plain object with only strings, numbers, booleans and null as values. `flatText` refuses other
 * objects, which are stored as JSON or in the structured format. A shape is known from its second appearance on.
 *
 * ```text
 * version · length of the tokens, 2 characters · tokens · names · texts
 * tokens: the length of the names; then a tag for each value, with its number or its length
 * ```
 *
 * All characters except names and texts are below 128. So an ASCII object is an ASCII text, which crosses in one copy
 * and is split here. The names are written as in `shapes.ts`, `{"id":0,"name":0}`. Numbers of the format are varints
 * with 6 bits per character, lowest bits first; bit 64 marks that more follow.
 *
 * Caution: the text may be damaged. A character beyond its end is NaN, for which every comparison is false.
 */
import { PAGE_LENGTH, corrupt } from './format.ts'
import { assign, incomingShape, instantiate, knownShape } from './shapes.ts'

/** The first character. Another number is another format. */
const VERSION = 1

/** Where the tokens begin: after the version and their length. */
const HEADER_LENGTH = 3

const Tag = {
  Null: 0,
  False: 1,
  True: 2,
  /** Zigzag varint: an integer of 32 bits, never -0. */
  Int: 3,
  /** IEEE 754 double: its lower and its upper half, 5 characters of 7 bits each. */
  Double: 4,
  /** Varint: length in UTF-16 units. */
  String: 5,
  /** Plus the length, up to 95. */
  ShortString: 32,
} as const

const MAX_SHORT = 127 - Tag.ShortString

/** Maximum number of names: more suggest a table rather than a record. Bounds the room for tokens. */
const MAX_NAMES = 256

/** Room for the maximum number of tokens; a token has at most 11 characters, those of a double. */
const tokens = Buffer.allocUnsafeSlow(HEADER_LENGTH + 6 + 11 * MAX_NAMES)

const double = new Float64Array(1)
const halves = new Uint32Array(double.buffer)

/** After this many refusals in a row, only one object in `TRY_EVERY` is tried, so that refusals cost almost nothing. */
const MAX_REFUSALS = 16
const TRY_EVERY = 8

let refused = 0

/**
 * The text of a flat object with a known shape; otherwise undefined. Reads each property once.
 */
export function flatText(object: object): string | undefined {
  if (Object.getPrototypeOf(object) !== Object.prototype) return undefined
  if (refused >= MAX_REFUSALS && ++refused % TRY_EVERY !== 0) return undefined
  const text = write(object)
  refused = text === undefined ? refused + 1 : 0
  return text
}

function write(object: object): string | undefined {
  const names = Object.keys(object)
  const { length } = names
  if (length === 0 || length > MAX_NAMES) return undefined
  const shape = knownShape(names)
  if (shape === undefined) return undefined
  const values: unknown[] = Object.values(object)
  // A getter may have deleted another property, and symbols cannot be stored.
  if (values.length !== length || Object.getOwnPropertySymbols(object).length > 0) return undefined
  let { text } = shape
  let at = putVarint(text.length, HEADER_LENGTH)
  for (let i = 0; i < length; i++) {
    const value = values[i]
    switch (typeof value) {
      case 'string':
        // First, because two strings may be too long for one.
        if (text.length + value.length > PAGE_LENGTH) return undefined
        text += value
        at = putLength(value.length, at)
        break
      case 'number':
        at = putNumber(value, at)
        break
      case 'boolean':
        tokens[at++] = value ? Tag.True : Tag.False
        break
      default:
        if (value !== null) return undefined
        tokens[at++] = Tag.Null
    }
  }
  // Lone surrogates have no UTF-8; JSON has an escape for them.
  if (!text.isWellFormed()) return undefined
  const count = at - HEADER_LENGTH
  tokens[0] = VERSION
  tokens[1] = count & 127
  tokens[2] = count >> 7
  return tokens.toString('latin1', 0, at) + text
}

function putLength(length: number, at: number): number {
  if (length <= MAX_SHORT) {
    tokens[at] = Tag.ShortString + length
    return at + 1
  }
  tokens[at] = Tag.String
  return putVarint(length, at + 1)
}

function putNumber(number: number, at: number): number {
  const integer = number | 0
  if (integer === number && (integer !== 0 || 1 / number > 0)) {
    tokens[at] = Tag.Int
    return putVarint(((integer << 1) ^ (integer >> 31)) >>> 0, at + 1)
  }
  tokens[at] = Tag.Double
  double[0] = number
  return putHalf(halves[1] as number, putHalf(halves[0] as number, at + 1))
}

function putHalf(half: number, at: number): number {
  tokens[at] = half & 127
  tokens[at + 1] = (half >>> 7) & 127
  tokens[at + 2] = (half >>> 14) & 127
  tokens[at + 3] = (half >>> 21) & 127
  tokens[at + 4] = half >>> 28
  return at + 5
}

function putVarint(number: number, at: number): number {
  let rest = number
  let next = at
  while (rest > 63) {
    tokens[next++] = 64 | (rest & 63)
    rest >>>= 6
  }
  tokens[next++] = rest
  return next
}

/**
 * The object of a text of `flatText`, from any process. Any other text gives some object or throws
 * `ERR_SEGMENT_CORRUPT`; it never runs code.
 */
export function fromFlat(text: string): object {
  return new Reader(text).read()
}

/**
 * A frozen copy. V8 gives each frozen copy of a template its own hidden class, which makes reads of many such objects
 * slow; objects with names added one by one share a hidden class.
 */
export function frozenFlat(flat: object): object {
  const object: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(flat)) assign(object, name, value)
  return Object.freeze(object)
}

class Reader {
  readonly #text: string
  #at = HEADER_LENGTH
  /** Where the tokens end. */
  readonly #end: number
  /** Where the next text begins. */
  #textAt: number

  constructor(text: string) {
    if (text.charCodeAt(0) !== VERSION) throw corrupt('no flat object')
    this.#text = text
    this.#end = HEADER_LENGTH + text.charCodeAt(1) + (text.charCodeAt(2) << 7)
    if (!(this.#end <= text.length)) throw corrupt('cut off')
    this.#textAt = this.#end
  }

  read(): object {
    const shape = incomingShape(this.#string(this.#varint()))
    const { names } = shape
    const { length } = names
    if (length > this.#end - this.#at) throw corrupt('more names than values')
    const object = instantiate(shape)
    if (shape.template === undefined) {
      for (const name of names) assign(object, name, this.#value())
    } else {
      // The names are own properties already; see the structured decoder.
      for (let i = 0; i < length; i++) object[names[i] as string] = this.#value()
    }
    if (this.#at !== this.#end || this.#textAt !== this.#text.length) throw corrupt('more than one object')
    return object
  }

  #value(): unknown {
    const tag = this.#character()
    if (tag >= Tag.ShortString) return this.#string(tag - Tag.ShortString)
    switch (tag) {
      case Tag.Null:
        return null
      case Tag.False:
        return false
      case Tag.True:
        return true
      case Tag.Int: {
        const zigzag = this.#varint()
        return (zigzag >>> 1) ^ -(zigzag & 1)
      }
      case Tag.Double:
        halves[0] = this.#half()
        halves[1] = this.#half()
        return double[0]
      case Tag.String:
        return this.#string(this.#varint())
      default:
        throw corrupt(`the unknown tag ${tag}`)
    }
  }

  #half(): number {
    const low = this.#character() | (this.#character() << 7) | (this.#character() << 14) | (this.#character() << 21)
    return (low | (this.#character() << 28)) >>> 0
  }

  #varint(): number {
    let number = 0
    for (let shift = 0; shift < 36; shift += 6) {
      const character = this.#character()
      number |= (character & 63) << shift
      if (character < 64) return number >>> 0
    }
    throw corrupt('a number that does not end')
  }

  #character(): number {
    if (this.#at >= this.#end) throw corrupt('cut off')
    return this.#text.charCodeAt(this.#at++)
  }

  #string(length: number): string {
    const start = this.#textAt
    const end = start + length
    if (end > this.#text.length) throw corrupt('text that is cut off')
    this.#textAt = end
    return this.#text.substring(start, end)
  }
}
