/**
 * The structured format: bytes that no encoder wrote are refused, or make a value.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import { CacheError } from '../../index.ts'
import { anyObject } from '../helpers/arbitrary-values.ts'
import { SCALARS, VALUES, bytesOf } from '../helpers/codec-values.ts'
import { decodeStructured } from '../helpers/internals.ts'
import { TAGS, varint, withTokens } from '../helpers/tokens.ts'

/**
 * Decodes arbitrary bytes. The only allowed failures are CacheErrors; a stack overflow or a TypeError of the decoder is
 * a bug.
 */
function survives(t: ExecutionContext, bytes: Uint8Array): 'value' | 'refused' {
  try {
    decodeStructured(bytes)
    return 'value'
  } catch (error) {
    const code = error instanceof CacheError ? error.code : undefined
    if (code === 'ERR_SEGMENT_CORRUPT' || code === 'ERR_CODEC_MISMATCH') return 'refused'
    t.log(Buffer.from(bytes).toString('hex').slice(0, 200))
    throw error
  }
}

const SAMPLES: object[] = [...Object.values(VALUES), ...SCALARS.map((value) => [value])].filter(
  (value) => bytesOf(value).length < 600,
)

test('a value with any one bit flipped decodes to data or is refused', (t) => {
  const outcomes = { value: 0, refused: 0 }
  for (const bytes of SAMPLES.map(bytesOf)) {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      outcomes[survives(t, flipped)]++
    }
  }
  t.log(outcomes)
  // Most bits belong to texts and numbers, where a flipped bit makes another valid value.
  t.true(outcomes.value > 5000 && outcomes.refused > 5000)
})

test('a truncated value, and a value with an extra byte, is refused', (t) => {
  for (const bytes of SAMPLES.map(bytesOf)) {
    for (let length = 0; length < bytes.length; length++) t.is(survives(t, bytes.subarray(0, length)), 'refused')
    t.is(survives(t, Buffer.concat([bytes, Buffer.of(0)])), 'refused')
  }
})

test('random bytes, and random changes of generated values, decode to data or are refused', (t) => {
  const outcomes = { value: 0, refused: 0 }
  const spot = fc.tuple(fc.nat(), fc.nat(255))
  fc.assert(
    fc.property(anyObject, fc.array(spot, { minLength: 1, maxLength: 3 }), fc.uint8Array(), (value, spots, random) => {
      const bytes = bytesOf(value)
      for (const [position, byte] of spots) bytes[5 + (position % (bytes.length - 5))] = byte
      outcomes[survives(t, bytes)]++
      outcomes[survives(t, withTokens(random))]++
      outcomes[survives(t, random)]++
    }),
    { numRuns: 10_000, includeErrorInReport: true },
  )
  t.log(outcomes)
  t.true(outcomes.value > 100 && outcomes.refused > 10_000)
})

const { ARRAY, KEYED, OBJECT, BARE, MAP, SET, DATE, REGEXP, ERROR, BYTES } = TAGS

const [ONE, TWO] = [0x81, 0x82]

const HUGE = [0xff, 0xff, 0xff, 0xff, 0x0f]

const HUGE32 = [0xff, 0xff, 0xff, 0xff]

const DAMAGED: Record<string, Buffer> = {
  'no bytes': Buffer.alloc(0),
  'no tokens': withTokens([]),
  'tokens that continue after the end': Buffer.of(1, 255, 255, 255, 255, 0),
  'two values': withTokens([ONE, TWO]),
  'text that no token asks for': withTokens([ONE], 'text'),
  'too little text': withTokens([0x45], 'text'),
  'too much text': withTokens([0x43], 'text'),
  'text in an unknown encoding': withTokens([0x44], 'text', 3),
  'an unknown tag': withTokens([0x3f]),
  'a number that does not end': withTokens([6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
  'a reference to nothing': withTokens([ARRAY, 1, 9, 1]),
  'a reference to a later object': withTokens([ARRAY, 2, 9, 1, ARRAY, 0]),
  'an unknown shape': withTokens([OBJECT, 1]),
  'a shape that is no JSON': withTokens([OBJECT, 0, 2], '{x'),
  'a shape that is an array': withTokens([OBJECT, 0, 2], '[]'),
  'a shape that is null': withTokens([OBJECT, 0, 4], 'null'),
  'an object with too few values': withTokens([OBJECT, 0, 13, ONE], '{"a":0,"b":0}'),
  'something else without a prototype': withTokens([BARE, ARRAY, 0]),
  'a key that occurs twice': withTokens([MAP, 2, 0, 0, 0, ONE, ONE, ONE, TWO]),
  'an element that occurs twice': withTokens([SET, 2, 0, 0, 0, ONE, ONE]),
  'an array of 2 ** 32 - 1 elements': withTokens([ARRAY, ...HUGE, ONE]),
  'an array with 2 ** 32 - 1 names': withTokens([KEYED, ...HUGE, ...HUGE, ONE, ONE]),
  'a Map of 2 ** 32 - 1 entries': withTokens([MAP, ...HUGE32, ONE, ONE]),
  'a Set of 2 ** 32 - 1 elements': withTokens([SET, ...HUGE32, ONE]),
  'text of 2 ** 32 - 1 units': withTokens([6, ...HUGE], 'text'),
  'a bigint of 2 ** 32 - 1 digits': withTokens([8, ...HUGE], '1'),
  '2 ** 32 - 1 bytes': withTokens([BYTES, 0, ...HUGE32, 1, 2, 3]),
  'a page of 2 ** 32 - 1 bytes': Buffer.concat([withTokens([0x41]), Buffer.of(0, ...HUGE32, 65)]),
  'bytes of an unknown type': withTokens([BYTES, 255, 0, 0, 0, 0]),
  'a Float64Array of 3 bytes': withTokens([BYTES, 11, 3, 0, 0, 0, 1, 2, 3]),
  'an index beyond the length': withTokens([KEYED, 1, 1, ONE, ONE]),
  'an index as a name': withTokens([KEYED, 1, 1, 0x41, ONE], '7'),
  'length as a name': withTokens([KEYED, 1, 1, 0x46, ONE], 'length'),
  'a fraction as an index': withTokens([KEYED, 9, 1, 5, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, ONE]),
  'an object as a name': withTokens([KEYED, 9, 1, ARRAY, 0, ONE]),
  'a truncated Date': withTokens([DATE, 0, 0, 0]),
  'an invalid RegExp': withTokens([REGEXP, 1, 0], '('),
  'invalid flags': withTokens([REGEXP, 1, 2], 'xgg'),
  'an unknown error': withTokens([ERROR, 8, 0, 1, 1, 1, 1, OBJECT, 0, 2], '{}'),
  'an error with unknown fields': withTokens([ERROR, 0, 16, 1, 1, 1, 1, OBJECT, 0, 2], '{}'),
  'an error without an object': withTokens([ERROR, 0, 0, 1, 1, 1, 1, ARRAY, 0]),
  'no digits': withTokens([8, 1], '-'),
  'no hexadecimal digits': withTokens([8, 3], '0x1'),
}

for (const [what, bytes] of Object.entries(DAMAGED)) {
  test(`damaged bytes are refused: ${what}`, (t) => {
    t.throws(() => decodeStructured(bytes), { instanceOf: CacheError, code: 'ERR_SEGMENT_CORRUPT' })
  })
}

test('another format version is refused with ERR_CODEC_MISMATCH', (t) => {
  const bytes = bytesOf([1])
  bytes[0] = 2
  t.throws(() => decodeStructured(bytes), { instanceOf: CacheError, code: 'ERR_CODEC_MISMATCH', message: /format 2/ })
})

test('an invalid Date decodes to an invalid Date', (t) => {
  const bytes = withTokens([DATE, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f])
  t.deepEqual(decodeStructured(bytes), new Date(Number.NaN))
})

test('a Map that is a key of itself is decoded', (t) => {
  const map = decodeStructured(withTokens([MAP, 1, 0, 0, 0, 9, 0, ARRAY, 2, 9, 0, 9, 1])) as Map<unknown, unknown[]>
  t.true(map.get(map)?.[0] === map)
  t.true(map.get(map)?.[1] === map.get(map))
})

test('1,000,000 levels are refused without a stack overflow', (t) => {
  const levels: Record<string, number[]> = {
    array: [ARRAY, 1],
    Map: [MAP, 1, 0, 0, 0],
    Set: [SET, 1, 0, 0, 0],
    name: [KEYED, 1, 1],
    error: [ERROR, 0, 0],
  }
  for (const [what, level] of Object.entries(levels)) {
    const tokens = new Uint8Array(1_000_000 * level.length)
    for (let i = 0; i < tokens.length; i++) tokens[i] = level[i % level.length] as number
    t.throws(() => decodeStructured(withTokens(tokens)), { code: 'ERR_SEGMENT_CORRUPT', message: /levels|bytes/ }, what)
  }
})

test('a RegExp that would take long to compile is refused before it is compiled', (t) => {
  const expensive = ['\\p{RGI_Emoji}', '[^\\W]', '\\p{L}']
  for (const part of expensive) {
    const source = part.repeat(100_000)
    const header = [REGEXP, ...varint(source.length), 2]
    t.throws(() => decodeStructured(withTokens(header, `${source}iv`)), { message: /Unicode properties/ })
  }
  const one = '\\p{RGI_Emoji}iv'
  const many = Array.from({ length: 100_000 }, () => [REGEXP, one.length - 2, 2]).flat()
  const bytes = withTokens([ARRAY, ...varint(100_000), ...many], one.repeat(100_000))
  t.throws(() => decodeStructured(bytes), { message: /Unicode properties/ })
})
