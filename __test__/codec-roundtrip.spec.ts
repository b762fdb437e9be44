import test from 'ava'
import * as fc from 'fast-check'
import { plainText } from '../lib/codec/plain.ts'
import { decodeStructured, encodeStructured } from '../lib/codec/structured.ts'
import { anyObject, anyValue } from './helpers/arbitrary-values.ts'
import { difference } from './helpers/same-structure.ts'

// The seed is fast-check's own, a new one each time; a failure prints it.

test('100,000 values of every kind come back the same, with their cycles', (t) => {
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

test('what goes as JSON text comes back the same', (t) => {
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
