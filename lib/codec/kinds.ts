/**
 * Which kind of value an object is, told by what it is made of and by its prototype; and how it is called if it is none.
 *
 * An instance of a class is no value, because its class cannot be stored: what comes back would not be what went in. A
 * built-in of another realm (`node:vm`, a test runner's sandbox) is a value like ours. The thing to get wrong: neither the
 * prototype nor the inner slots suffice. `Object.create(Map.prototype)` is no Map, and an instance of `class extends Map` is one
 * that lost its class.
 */
import { types } from 'node:util'
import { BYTES, ERRORS } from './format.ts'

/** What an object can be as a value. */
export type ObjectKind = 'object' | 'null-prototype' | 'array' | 'map' | 'set' | 'date' | 'regexp' | 'error' | 'bytes'

/** The kind of `value`, or undefined if it is no value. */
export function kindOfObject(value: object): ObjectKind | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  switch (prototype) {
    case Object.prototype:
      return 'object'
    case null:
      return 'null-prototype'
    case Array.prototype:
      return Array.isArray(value) ? 'array' : undefined
    case Date.prototype: // whatever `Date` is now: a test with fake timers replaces it
      return types.isDate(value) ? 'date' : undefined
    case Map.prototype:
      return types.isMap(value) ? 'map' : undefined
    case Set.prototype:
      return types.isSet(value) ? 'set' : undefined
    case Buffer.prototype:
      return ArrayBuffer.isView(value) ? 'bytes' : undefined
    default:
      return kindByPrototype(value, prototype as object)
  }
}

function kindByPrototype(value: object, prototype: object): ObjectKind | undefined {
  if (Array.isArray(value)) return isBuiltIn(prototype, 'flatMap', 2) ? 'array' : undefined
  if (types.isDate(value)) return isBuiltIn(prototype, 'getTime', 2) ? 'date' : undefined
  if (types.isMap(value)) return isBuiltIn(prototype, 'forEach', 2) ? 'map' : undefined
  if (types.isSet(value)) return isBuiltIn(prototype, 'forEach', 2) ? 'set' : undefined
  if (types.isRegExp(value)) return isBuiltIn(prototype, 'exec', 2) ? 'regexp' : undefined
  if (types.isArrayBuffer(value)) return isBuiltIn(prototype, 'byteLength', 2) ? 'bytes' : undefined
  if (types.isDataView(value)) return isBuiltIn(prototype, 'getInt8', 2) ? 'bytes' : undefined
  if (types.isTypedArray(value)) return isBuiltIn(prototype, 'BYTES_PER_ELEMENT', 3) ? 'bytes' : undefined
  if (types.isNativeError(value)) return errorType(value) === undefined ? undefined : 'error'
  return isBuiltIn(prototype, 'isPrototypeOf', 1) ? 'object' : undefined
}

/**
 * Whether a prototype is a built-in one, of any realm: it has its method itself and is that far from the end of the chain.
 * A class that extends the built-in one is further away, also if it has a method of that name.
 */
function isBuiltIn(prototype: object, method: string, distance: number): boolean {
  if (!Object.hasOwn(prototype, method)) return false
  let above: unknown = prototype
  for (let i = 0; i < distance; i++) {
    if (above === null) return false
    above = Object.getPrototypeOf(above)
  }
  return above === null
}

/** Position in `ERRORS` of an error's own type, or undefined if it is of a class. */
export function errorType(error: object): number | undefined {
  const prototype = Object.getPrototypeOf(error) as { name?: unknown; constructor?: { name?: unknown } }
  const position = ERRORS.findIndex((name) => prototype.constructor?.name === name && prototype.name === name)
  return position !== -1 && isBuiltIn(prototype, 'message', position === 0 ? 2 : 3) ? position : undefined
}

const { get: typedArrayName } = Object.getOwnPropertyDescriptor(
  Object.getPrototypeOf(Uint8Array.prototype),
  Symbol.toStringTag,
) as { get: () => string | undefined }

/** Position in `BYTES` of something of the kind `bytes`, or -1 for a typed array of a later version of the language. */
export function bytesType(value: object): number {
  if (Buffer.isBuffer(value)) return 0
  if (!ArrayBuffer.isView(value)) return 1
  const name: string | undefined = Reflect.apply(typedArrayName, value, [])
  return name === undefined ? 2 : (BYTES as readonly string[]).indexOf(name)
}

/** Whether every element is there and nothing else is: no holes, no names. */
export function isDense(array: readonly unknown[]): boolean {
  const { length } = array
  if (length === 0) return Object.keys(array).length === 0
  const keys = Object.keys(array)
  // Indices come first, in order. So if the last of `length` keys is the last index, no other key can be missing.
  return keys.length === length && keys[length - 1] === String(length - 1)
}

/** What somebody reads who wants to know what cannot be stored. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'function':
      return 'a function'
    case 'symbol':
      return 'a symbol'
    case 'object':
      return value === null ? 'null' : describeObject(value)
    default:
      return String(value)
  }
}

function describeObject(value: object): string {
  if (types.isProxy(value)) return 'a Proxy of something other than a plain object or array'
  if (types.isArgumentsObject(value)) return 'an arguments object'
  if (types.isModuleNamespaceObject(value)) return 'a module'
  const { name } = (value as { constructor?: { name?: unknown } }).constructor ?? {}
  if (typeof name !== 'string' || name === '') return 'not a plain object'
  // Errors of Node.js itself have classes that go by the name of the standard ones.
  return types.isNativeError(value) ? `an error of a class of its own, ${name}` : `an instance of ${name}`
}
