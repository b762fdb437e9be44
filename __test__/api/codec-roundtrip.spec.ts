/**
 * Generated values of every kind come back the same.
 *
 * fast-check chooses a new seed for each run; a failure prints it.
 */
import test from 'ava'
import * as fc from 'fast-check'
import { anyObject, anyValue } from '../helpers/arbitrary-values.ts'
import { decodeStructured, encodeStructured, plainText } from '../helpers/internals.ts'
import { difference } from '../helpers/same-structure.ts'

test('100,000 values of every kind come back unchanged, with their cycles', (t) => {
  let objects = 0
  fc.assert(
    fc.property(anyObject, (value) => {
      objects++
      const found = difference(value, decodeStructured(encodeStructured(value)))
      if (found !== undefined) throw new Error(`differs at ${found}`)
    }),
    { numRuns: 100_000 },
  )
  t.is(objects, 100_000)
})

test('values that are stored as JSON text come back unchanged', (t) => {
  let plain = 0
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue({ maxDepth: 3 }), anyValue), (value) => {
      const text = plainText(value)
      if (text === undefined) return
      plain++
      const found = difference(value, JSON.parse(text))
      if (found !== undefined) throw new Error(`differs at ${found}`)
    }),
    { numRuns: 20_000 },
  )
  t.true(plain > 5_000, `${plain} of 20,000 were plain`)
})
