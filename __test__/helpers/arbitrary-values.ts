/**
 * Values of every kind that can be stored, nested in one another, with cycles and shared objects.
 *
 * fast-check generates recipes, and a value is built from one: so a value that fails shrinks, and each value is built
 * anew. Caution: objects are counted when they begin, so that `again` may refer to an object that is still being built.
 */
import * as fc from 'fast-check'
import { TYPED_ARRAYS } from './typed-arrays.ts'

/** Makes a value. Gets the objects that began before, and adds its own. */
type Recipe = (begun: object[]) => unknown

type ViewConstructor = new (buffer: ArrayBuffer, byteOffset: number, length: number) => ArrayBufferView

const VIEWS: (ViewConstructor & { BYTES_PER_ELEMENT?: number })[] = [...TYPED_ARRAYS, DataView]

const ERRORS = [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]

const REGEXPS = [/(?:)/, /a+b/gi, /\//, /\u{1F600}[^\]]/u, /(?<year>\d{4})/dy, /[\s\S]/ms, new RegExp('\n'), /ü\uD800/]

const NUMBERS = [0, -0, 1, -1, 127, 128, -128, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32, 2 ** 53, 5e-324]
const NOT_FINITE = [Number.NaN, Infinity, -Infinity]

const NAMES = [
  'a',
  'b',
  'id',
  'toString',
  '__proto__',
  'constructor',
  'length',
  '0',
  '1',
  '4294967295',
  '',
  'ü',
  '\uD800',
]

/** Any UTF-16 units, also lone surrogates. */
const anyText = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 })
  .map((units) => String.fromCharCode(...units))
const text = fc.oneof(fc.string({ maxLength: 10 }), fc.string({ unit: 'grapheme', maxLength: 10 }), anyText)
const name = fc.oneof(fc.constantFrom(...NAMES), text)

const primitive = fc
  .oneof(
    text,
    fc.constantFrom(null, undefined, true, false),
    fc.constantFrom(...NUMBERS, ...NOT_FINITE),
    fc.integer(),
    fc.double(),
    fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }),
    fc.constantFrom(2n ** 63n, -(2n ** 63n), 2n ** 63n - 1n, -(2n ** 63n) - 1n, 3n ** 300n),
  )
  .map(
    (value): Recipe =>
      () =>
        value,
  )

const leaf = fc.oneof(
  fc.oneof(fc.double(), fc.integer(), fc.constant(Number.NaN)).map((time) => object(() => new Date(time))),
  fc.constantFrom(...REGEXPS).map(({ source, flags }) => object(() => new RegExp(source, flags))),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => object(() => Buffer.from(bytes))),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => object(() => Uint8Array.from(bytes).buffer)),
  fc
    .tuple(fc.constantFrom(...VIEWS), fc.nat(3), fc.nat(3), fc.nat(255))
    .map(([View, offset, length, fill]) => object(() => view(View, offset, length, fill))),
)

/** An object that began before; the first of its container if there are not that many. */
const again = fc.nat(12).map(
  (number): Recipe =>
    (begun) =>
      begun[number % Math.max(begun.length, 1)],
)

const recipes = fc.letrec<{ value: Recipe; container: Recipe }>((tie) => {
  const value = tie('value')
  const properties = fc.array(fc.tuple(name, value), { maxLength: 4 })
  return {
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      { arbitrary: primitive, weight: 4 },
      { arbitrary: leaf, weight: 2 },
      { arbitrary: again, weight: 1 },
      { arbitrary: tie('container'), weight: 5 },
    ),
    container: fc.oneof(
      fc.tuple(properties, fc.boolean()).map(([list, bare]) => plainObject(list, bare)),
      fc.array(value, { maxLength: 4 }).map((list) => array(list, [], 0)),
      fc.tuple(fc.array(value, { maxLength: 3 }), properties, fc.nat(3)).map((parts) => array(...parts)),
      fc.array(fc.tuple(value, value), { maxLength: 3 }).map(map),
      fc.array(value, { maxLength: 3 }).map(set),
      fc
        .record({
          type: fc.nat(ERRORS.length),
          message: text,
          cause: fc.option(value),
          properties,
          list: fc.array(value, { maxLength: 2 }),
        })
        .map(error),
    ),
  }
})

/** Any value that can be stored. */
export const anyValue: fc.Arbitrary<unknown> = recipes.value.map((recipe) => recipe([]))

/** Any object that can be stored. */
export const anyObject: fc.Arbitrary<object> = fc
  .oneof({ arbitrary: recipes.container, weight: 5 }, { arbitrary: leaf, weight: 1 })
  .map((recipe) => recipe([]) as object)

function object<T extends object>(make: () => T): (begun: object[]) => T {
  return (begun) => {
    const made = make()
    begun.push(made)
    return made
  }
}

function plainObject(properties: readonly [string, Recipe][], isBare: boolean): Recipe {
  return (begun) => {
    const made = object(() => Object.create(isBare ? null : Object.prototype) as object)(begun)
    for (const [name, recipe] of properties) define(made, name, recipe(begun))
    return made
  }
}

/** An array with `holes` after the elements, and names. Names that an array cannot have are left out. */
function array(elements: readonly Recipe[], properties: readonly [string, Recipe][], holes: number): Recipe {
  return (begun) => {
    const made = object(() => [] as unknown[])(begun)
    for (const recipe of elements) made.push(recipe(begun))
    made.length += holes
    for (const [name, recipe] of properties) if (name !== 'length') define(made, name, recipe(begun))
    return made
  }
}

function map(entries: readonly [Recipe, Recipe][]): Recipe {
  return (begun) => {
    const made = object(() => new Map())(begun)
    for (const [key, value] of entries) made.set(key(begun), value(begun))
    return made
  }
}

function set(elements: readonly Recipe[]): Recipe {
  return (begun) => {
    const made = object(() => new Set())(begun)
    for (const element of elements) made.add(element(begun))
    return made
  }
}

interface ErrorParts {
  type: number
  message: string
  cause: Recipe | null
  properties: [string, Recipe][]
  list: Recipe[]
}

function error({ type, message, cause, properties, list }: ErrorParts): Recipe {
  return (begun) => {
    const Type = ERRORS[type]
    const made = object((): Error => (Type === undefined ? new AggregateError([], message) : new Type(message)))(begun)
    void made.stack // made now: with an object without a text as its name it could not be made later
    if (Type === undefined)
      hide(
        made,
        'errors',
        list.map((recipe) => recipe(begun)),
      )
    if (cause !== null) hide(made, 'cause', cause(begun))
    for (const [name, recipe] of properties) define(made, name, recipe(begun))
    return made
  }
}

function hide(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, configurable: true })
}

function define(object: object, name: string, value: unknown): void {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true })
}

/** A view in the middle of a larger buffer. */
function view(View: (typeof VIEWS)[number], offset: number, length: number, fill: number): ArrayBufferView {
  const size = View.BYTES_PER_ELEMENT ?? 1
  const buffer = new ArrayBuffer((offset + length + 2) * size)
  new Uint8Array(buffer).forEach((_, i, bytes) => (bytes[i] = fill * (i + 1)))
  return new View(buffer, offset * size, length)
}
