import test from 'ava'
import * as fc from 'fast-check'
import type { Answer } from './children/operations.ts'
import { flatText, fromFlat } from '../lib/codec/flat.ts'
import { Kind, MetaInt } from '../lib/native.ts'
import { nativeHandles } from '../lib/testing.ts'
import { anyValue } from './helpers/arbitrary-values.ts'
import { fork } from './helpers/fork.ts'
import { difference } from './helpers/same-structure.ts'
import { SMALL, openCache, segmentName } from './helpers/segment.ts'

/** The text of an object whose shape was there before; undefined if it is not for this form. */
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

test('a flat object comes back the same, whatever its names and values', (t) => {
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

test('-0, NaN, infinities and the limits of integers come back', (t) => {
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

test('a cache stores flat objects so, and every process and way of reading gives them back', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, near: false })
  const near = openCache(t, { name, near: { objects: 'frozen' } })
  const made = (id: number): object => ({
    id,
    name: `user ${id}`,
    mail: 'zażółć@example.org',
    score: id / 3,
    active: true,
    boss: null,
  })
  for (let id = 0; id < 40; id++) cache.set(`u${id}`, made(id))

  const handle = nativeHandles.get(cache)
  t.deepEqual(cache.get('u39'), made(39))
  t.is(handle?.ints[MetaInt.Kind], Kind.Flat)
  const keys = Array.from({ length: 40 }, (_, id) => `u${id}`)
  t.deepEqual(
    cache.getMany(keys),
    keys.map((_, id) => made(id)),
  )
  t.deepEqual(cache.getEntry('u7')?.value, made(7))
  t.deepEqual(cache.peek('u7'), made(7))
  const first = near.get('u7')
  t.deepEqual(first, made(7))
  t.true(Object.isFrozen(first))
  t.is(near.get('u7'), first)
  t.deepEqual(near.getMany(['u7', 'u8']), [made(7), made(8)])

  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  t.deepEqual((await child.ask<Answer>(['get', 'u7'])).value, made(7))
  for (let id = 100; id < 140; id++) await child.ask(['set', `u${id}`, made(id)])
  t.deepEqual(near.get('u139'), made(139))
  t.deepEqual(cache.take('u139'), made(139))
  t.is(handle?.ints[MetaInt.Kind], Kind.Flat)
  t.deepEqual(cache.getMany(['u139']), [undefined])
})
