/**
 * Shapes: the names of an object's properties, in order. Written once for each value, however many objects have them.
 *
 * A shape is written as the JSON text of an object with these names, `{"id":0,"name":0}`. So JSON.parse, which adds names as
 * data whatever they are, makes the template that the decoder copies: no name can reach a prototype or a setter, and
 * the copy is quicker than adding names one by one. Both directions remember shapes from value to value, in this thread
 * only. The thing to get wrong: a template with a name like `1023` must not be copied, since V8 gives the copy room for
 * 1,024 elements.
 */
import { corrupt } from './format.ts'

/** What is remembered is forgotten all at once when it exceeds this many characters of text. */
const MEMORY = 500_000

/** Shapes of the same number of names that are told apart; with more, they are written more than once. */
const SAME_LENGTH = 16

/** A shape on its way out. */
export interface OutgoingShape {
  readonly names: readonly string[]
  readonly text: string
  /** The value in which it was written last, and its number there. */
  value: number
  id: number
}

const outgoing = new Map<number, OutgoingShape[]>()
let outgoingSize = 0

/** The shape with these names; remembered, or new. */
export function outgoingShape(names: readonly string[]): OutgoingShape {
  return find(names) ?? remember(names)
}

/** The shape with these names if they were there before. The first time leaves a mark only: most names that come once never come again. */
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

/** Hashes of names that were there last, by hash. One that is taken for another's only costs a place in the table. */
const seen = new Int32Array(256)

/** So many characters from the end of a name tell it apart. */
const TELLING = 16

function wasSeen(names: readonly string[]): boolean {
  let hash = names.length
  for (const name of names) {
    hash = Math.imul(hash ^ name.length, 0x01000193)
    for (let i = Math.max(0, name.length - TELLING); i < name.length; i++) {
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

/** To be called between two values: one value finds its own shapes, however large they are. */
export function forgetOutgoing(): void {
  if (outgoingSize <= MEMORY) return
  outgoing.clear()
  outgoingSize = 0
}

/** A shape on its way in. */
export interface Shape {
  readonly names: readonly string[]
  /** An object with these names; undefined if it must not be copied. */
  readonly template: object | undefined
}

const incoming = new Map<string, Shape>()
let incomingSize = 0

/** The shape of this text. Throws if it is none. */
export function incomingShape(text: string): Shape {
  return incoming.get(text) ?? parseShape(text)
}

function parseShape(text: string): Shape {
  const template = parseTemplate(text)
  const names = Object.keys(template)
  // Index names come first, whatever order they were added in.
  const shape = { names, template: /^\d+$/.test(names[0] ?? '') ? undefined : template }
  // `text` is part of a page, which the key of the map would keep in memory.
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

/** A new object with the names of `shape`; without a template, only `assign` gives them to it. */
export function instantiate({ template }: Shape): Record<string, unknown> {
  return template === undefined ? scattered({}) : { ...template }
}

/** The same without a prototype. */
export function instantiateBare({ template }: Shape): Record<string, unknown> {
  if (template !== undefined) return { __proto__: null, ...template }
  // Not `Object.create(null)`, which also gets a table for names.
  const bare = scattered<Record<string, unknown>>({})
  Object.setPrototypeOf(bare, null)
  return bare
}

/**
 * Makes V8 keep the elements of an empty object in a table, which has room for what there is; else the name `1023` alone
 * takes 12 KiB.
 */
export function scattered<T extends object>(object: T): T {
  Reflect.set(object, LARGE_INDEX, undefined)
  Reflect.deleteProperty(object, LARGE_INDEX)
  return object
}

/** Near the end of what is an index of an array. */
const LARGE_INDEX = 2 ** 32 - 3

/** Gives an object the value of one of its names: as data, whatever the name. */
export function assign(object: Record<string, unknown>, name: string, value: unknown): void {
  if (!(name in object) || Object.hasOwn(object, name)) object[name] = value
  else Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
}
