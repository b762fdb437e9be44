/**
 * Shapes: the names of the properties of an object, in order. A value contains each of its shapes once.
 *
 * A shape is written as the JSON text of an object with these names, `{"id":0,"name":0}`. `JSON.parse` of it makes the
 * template that the decoder copies. JSON.parse adds every name as data, so no name can reach a prototype or a setter,
 * and copying is faster than adding names one by one. Both directions remember shapes across values, in this thread
 * only.
 *
 * Caution: a template with a name like `1023` must not be copied, because V8 gives the copy room for 1,024 elements.
 */
import { corrupt } from './format.ts'

/** Maximum of remembered characters. All shapes are dropped at once when there are more. */
const MEMORY = 500_000

/** Maximum number of remembered shapes with the same number of names. */
const SAME_LENGTH = 16

/** A shape for encoding. */
export interface OutgoingShape {
  readonly names: readonly string[]
  readonly text: string
  /** The last value that contains it, and its number there. */
  value: number
  id: number
}

const outgoing = new Map<number, OutgoingShape[]>()
let outgoingSize = 0

/** The shape with these names, remembered or new. */
export function outgoingShape(names: readonly string[]): OutgoingShape {
  return find(names) ?? remember(names)
}

/**
 * The shape with these names from their second appearance on. The first only leaves a mark: most names appear just
 * once.
 */
export function knownShape(names: readonly string[]): OutgoingShape | undefined {
  const shape = find(names)
  if (shape !== undefined || !wasSeen(names)) return shape
  forgetOutgoing()
  return remember(names)
}

function find(names: readonly string[]): OutgoingShape | undefined {
  const { length } = names
  const candidates = outgoing.get(length)
  if (candidates === undefined) return undefined
  for (const shape of candidates) {
    let i = 0
    while (i < length && shape.names[i] === names[i]) i++
    if (i === length) return shape
  }
  return undefined
}

/** Hashes of recent names, by hash. A collision only costs an entry of the table. */
const seen = new Int32Array(256)

/** Number of characters of a name that are hashed, from its end. */
const MAX_HASHED = 16

function wasSeen(names: readonly string[]): boolean {
  let hash = names.length
  for (const name of names) {
    hash = Math.imul(hash ^ name.length, 0x01000193)
    for (let i = Math.max(0, name.length - MAX_HASHED); i < name.length; i++) {
      hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
    }
  }
  const at = (hash ^ (hash >>> 16)) & (seen.length - 1)
  if (seen[at] === hash) return true
  seen[at] = hash
  return false
}

function remember(names: readonly string[]): OutgoingShape {
  const candidates = outgoing.get(names.length) ?? []
  const text = `{${names.map((name) => `${JSON.stringify(name)}:0`).join()}}`
  const shape = { names, text, value: 0, id: 0 }
  outgoingSize += text.length
  outgoing.set(names.length, [shape, ...candidates.slice(0, SAME_LENGTH - 1)])
  return shape
}

/** Call it between two values only, because a value must find its own shapes. */
export function forgetOutgoing(): void {
  if (outgoingSize <= MEMORY) return
  outgoing.clear()
  outgoingSize = 0
}

/** A shape for decoding. */
export interface Shape {
  readonly names: readonly string[]
  /** An object with these names; undefined if it must not be copied. */
  readonly template: object | undefined
}

const incoming = new Map<string, Shape>()
let incomingSize = 0

/** The shape of this text. Throws for other text. */
export function incomingShape(text: string): Shape {
  return incoming.get(text) ?? parseShape(text)
}

function parseShape(text: string): Shape {
  const template = parseTemplate(text)
  const names = Object.keys(template)
  // Index names come first, in any order of addition.
  const shape = { names, template: /^\d+$/.test(names[0] ?? '') ? undefined : template }
  // `text` is part of a page. As a key of the map it would keep the page in memory.
  const copy = JSON.stringify(template)
  if (copy === text && text.length < MEMORY / 100) {
    if (incomingSize > MEMORY) {
      incoming.clear()
      incomingSize = 0
    }
    incoming.set(copy, shape)
    incomingSize += copy.length
  }
  return shape
}

function parseTemplate(text: string): object {
  if (!text.startsWith('{')) throw corrupt('names that are no object')
  try {
    return JSON.parse(text) as object
  } catch (error) {
    throw corrupt('names that are no JSON', error)
  }
}

/** A new object with the names of `shape`; without a template, without names, which `assign` adds. */
export function instantiate({ template }: Shape): Record<string, unknown> {
  return template === undefined ? scattered({}) : { ...template }
}

/** The same without a prototype. */
export function instantiateBare({ template }: Shape): Record<string, unknown> {
  if (template !== undefined) return { __proto__: null, ...template }
  // `Object.create(null)` would also get a table for names.
  const bare = scattered<Record<string, unknown>>({})
  Object.setPrototypeOf(bare, null)
  return bare
}

/**
 * Makes V8 keep the elements of an empty object in a hash table; otherwise the name `1023` alone takes 12 KiB.
 */
export function scattered<T extends object>(object: T): T {
  Reflect.set(object, LARGE_INDEX, undefined)
  Reflect.deleteProperty(object, LARGE_INDEX)
  return object
}

/** Near the maximum index of an array. */
const LARGE_INDEX = 2 ** 32 - 3

/** Sets a property as data, for any name. */
export function assign(object: Record<string, unknown>, name: string, value: unknown): void {
  if (!(name in object) || Object.hasOwn(object, name)) object[name] = value
  else Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
}
