/**
 * The kind of an object as a value, by its internal slots and its prototype; and the description of objects that are
 * not values.
 *
 * An instance of a class is not a value, because its class cannot be stored. A built-in of another realm (`node:vm`,
 * the sandbox of a test runner) is a value.
 *
 * Caution: both prototype and internal slots must fit. `Object.create(Map.prototype)` is not a Map, and an instance of
 * `class extends Map` would lose its class.
 */
import { inspect, types } from 'node:util'
import { BYTES, ERRORS } from './format.ts'

/** The kinds of objects that are values. */
export type ObjectKind = 'object' | 'null-prototype' | 'array' | 'map' | 'set' | 'date' | 'regexp' | 'error' | 'bytes'

/** The kind of `value`, or undefined if it is not a value. */
export function kindOfObject(value: object): ObjectKind | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  switch (prototype) {
    case Object.prototype:
      return 'object'
    case null:
      return 'null-prototype'
    case Array.prototype:
      return Array.isArray(value) ? 'array' : undefined
    case Date.prototype: // the present `Date`, because tests with fake timers replace it
      return types.isDate(value) ? 'date' : undefined
    case Map.prototype:
      return types.isMap(value) ? 'map' : undefined
    case Set.prototype:
      return types.isSet(value) ? 'set' : undefined
    case Buffer.prototype:
      return types.isUint8Array(value) ? 'bytes' : undefined
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
 * Whether a prototype is that of a built-in, of any realm: it has the method as its own property, and has this distance
 * from the end of the chain. A class that extends the built-in has a larger distance, even if it has a method of that
 * name.
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

/** Position in `ERRORS` of the type of an error, or undefined for an instance of another class. */
export function errorType(error: object): number | undefined {
  const prototype = Object.getPrototypeOf(error) as { name?: unknown; constructor?: { name?: unknown } }
  const position = ERRORS.findIndex((name) => prototype.constructor?.name === name && prototype.name === name)
  return position !== -1 && isBuiltIn(prototype, 'message', position === 0 ? 2 : 3) ? position : undefined
}

const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as object
const { get: typedArrayName } = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag) as {
  get: () => string | undefined
}
const { get: typedArrayLength } = Object.getOwnPropertyDescriptor(typedArray, 'length') as { get: () => number }

/** Position in `BYTES` of an object of the kind `bytes`, or -1 for a typed array of a later version of the language. */
export function bytesType(value: object): number {
  if (Buffer.isBuffer(value)) return 0
  if (!ArrayBuffer.isView(value)) return 1
  const name: string | undefined = Reflect.apply(typedArrayName, value, [])
  return name === undefined ? 2 : (BYTES as readonly string[]).indexOf(name)
}

/** Up to this length, the elements are listed in less time than `inspect` takes. */
const MAX_LISTED = 128

/** Elements are left out, and only their number is shown, so the time does not depend on it. */
const WITHOUT_ELEMENTS = { maxArrayLength: 0, maxStringLength: 0, depth: 0, customInspect: false } as const

/**
 * An enumerable property of a typed array beside its elements; undefined: it has none.
 *
 * JavaScript lists such names only behind all elements, and a Buffer may have millions. Only `inspect` gets the names
 * alone; in its text, a comma comes before each of them.
 */
export function extraName(array: NodeJS.TypedArray): string | symbol | undefined {
  const length: number = Reflect.apply(typedArrayLength, array, [])
  const isClean =
    length <= MAX_LISTED
      ? Object.values(array).length === length && Object.getOwnPropertySymbols(array).length === 0
      : !inspect(array, WITHOUT_ELEMENTS).includes(',')
  if (isClean) return undefined
  const symbols = Object.getOwnPropertySymbols(array)
  return Object.keys(array)[length] ?? symbols.find((name) => Object.prototype.propertyIsEnumerable.call(array, name))
}

/** Whether a typed array has lost its bytes: its buffer is detached, or became too small. */
export function isLost(array: NodeJS.TypedArray): boolean {
  // The length of such an array is 0, but its methods throw.
  if (array.byteLength !== 0) return false
  try {
    Uint8Array.prototype.keys.call(array)
    return false
  } catch {
    return true
  }
}

/** Whether an array has all elements and nothing else: no holes, no names. */
export function isDense(array: readonly unknown[]): boolean {
  const { length } = array
  if (length === 0) return Object.keys(array).length === 0
  const keys = Object.keys(array)
  // Indices come first, in order. So if the last of `length` keys is the last index, no index is missing.
  return keys.length === length && keys[length - 1] === String(length - 1)
}

/** A description of a value that cannot be stored, for messages. */
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
  // Classes of errors of Node.js have the names of the standard classes.
  return types.isNativeError(value) ? `an error of the class ${name}` : `an instance of ${name}`
}
