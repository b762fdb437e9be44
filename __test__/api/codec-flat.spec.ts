/**
 * The flat form: objects with scalar values only.
 */
import test from 'ava'
import * as fc from 'fast-check'
import { anyValue } from '../helpers/arbitrary-values.ts'
import { flatText, fromFlat } from '../helpers/internals.ts'
import { difference } from '../helpers/same-structure.ts'

/** The flat text of an object with a known shape; undefined if the object is not stored in this form. */
function twice(object: object): string | undefined {
  for (let i = 0; i < 16; i++) {
    const text = flatText(object)
    if (text !== undefined) return text
  }
  return undefined
}

const name = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'toString', '0', '1023', 'toJSON'))

const value = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.double(),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  anyValue,
)

function withNames(entries: [string, unknown][]): object {
  const object = {}
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
  }
  return object
}

test('a flat object comes back unchanged, whatever its names and values', (t) => {
  let flat = 0
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 8 }), (entries) => {
      const object = withNames(entries)
      const text = twice(object)
      if (text === undefined) return
      flat++
      const found = difference(object, fromFlat(text))
      if (found !== undefined) throw new Error(`differs at ${found}`)
    }),
    { numRuns: 5000 },
  )
  t.true(flat > 500, `${flat} were flat`)
})

test('-0, NaN, infinities and the limits of integers come back unchanged', (t) => {
  const object = { a: -0, b: NaN, c: Infinity, d: 2 ** 31 - 1, e: -(2 ** 31), f: 2 ** 53 - 1, g: 5e-324, h: 31, i: -32 }
  t.is(difference(object, fromFlat(twice(object) as string)), undefined)
})

test('an object that is not flat, or has a lone surrogate or a symbol, is left to the other forms', (t) => {
  for (const object of [
    { x: [] },
    { x: {} },
    { x: undefined },
    { x: 1n },
    { x: '\uD800' },
    { x: 1, [Symbol('s')]: 1 },
    [],
    {},
  ]) {
    t.is(twice(object), undefined)
  }
  t.is(
    twice(
      new (class A {
        x = 1
      })(),
    ),
    undefined,
  )
})

test('any other text makes an object or throws ERR_SEGMENT_CORRUPT', (t) => {
  const good = twice({ name: 'Ada', visits: 300, score: 1.5, active: true, none: null }) as string
  const refuses = (text: string): boolean => {
    try {
      return typeof fromFlat(text) !== 'object'
    } catch (error) {
      return (error as { code?: unknown }).code === 'ERR_SEGMENT_CORRUPT'
    }
  }
  for (let i = 0; i < good.length; i++) t.true(refuses(good.slice(0, i)), `cut off at ${i}`)
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.string({ unit: 'binary', maxLength: 2 }), (at, other) => {
      const text = good.slice(0, at) + other + good.slice(at + 1)
      let object: unknown
      try {
        object = fromFlat(text)
      } catch (error) {
        return (error as { code?: unknown }).code === 'ERR_SEGMENT_CORRUPT'
      }
      return typeof object === 'object' && Object.getPrototypeOf(object) === Object.prototype
    }),
    { numRuns: 5000 },
  )
})
