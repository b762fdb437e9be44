/**
 * The near cache: which values have near copies, and what a reader gets of them.
 *
 * `counted` shows how often the segment was read, so each test knows whether it saw a near copy.
 */
import test from 'ava'
import { KEPT, NOT_KEPT, near, openCounted } from '../helpers/near-cache.ts'
import { counted } from '../helpers/raw-calls.ts'
import { openCache } from '../helpers/segment.ts'

/** Values that can be frozen, but would lose something in a copy. */
const NOT_COPIED: Record<string, unknown> = {
  'a sparse array': [1, , 3], // oxlint-disable-line no-sparse-arrays
  'an array with a name': Object.assign([1], { name: 1 }),
  'an object with __proto__': JSON.parse('{"__proto__":{"polluted":true}}'),
}

for (const objects of ['copy', 'frozen'] as const) {
  test(`${objects}: immutable values and plain objects come from near copies unchanged`, (t) => {
    const [cache, counts] = openCounted(t, { near: { objects } })
    for (const [what, value] of Object.entries(KEPT)) {
      cache.set(what, value)
      t.deepEqual(near(t, cache, counts, what), value, what)
      t.true(Object.is(cache.get(what), value) || typeof value === 'object', what)
    }
  })

  test(`${objects}: bytes and values that JSON cannot hold are fresh at each read`, (t) => {
    const [cache] = openCounted(t, { near: { objects } })
    for (const [what, value] of Object.entries(objects === 'copy' ? { ...NOT_KEPT, ...NOT_COPIED } : NOT_KEPT)) {
      cache.set(what, value)
      const [first, second, third] = [cache.get(what), cache.get(what), cache.get(what)]
      t.deepEqual(third, value, what)
      t.not(first, second, what)
      t.false(Object.isFrozen(second) && Object.isFrozen(third), what)
    }
  })

  test(`${objects}: shared objects, cycles and bare prototypes come back at each read`, (t) => {
    const cache = openCache(t, { near: { objects } })
    const inner = { x: 1 }
    const value: Record<string, unknown> = { twice: [inner, inner], bare: Object.assign(Object.create(null), { y: 1 }) }
    value['self'] = value
    cache.set('o', value)
    for (let i = 0; i < 4; i++) {
      const found = cache.get('o') as { twice: object[]; bare: object; self: object }
      t.is(found.self, found)
      t.is(found.twice[0], found.twice[1])
      t.is(Object.getPrototypeOf(found.bare), null)
      t.is(Object.isFrozen(found.twice[0]), objects === 'frozen')
    }
  })
}

test('copy: a caller that changes a value changes it for no other caller', (t) => {
  const [cache, counts] = openCounted(t, { near: { objects: 'copy' } })
  const original = { a: 1, list: [{ b: 2 }, { c: [3] }], inner: { deep: { x: 1 } } }
  cache.set('o', original)
  for (let i = 0; i < 5; i++) {
    const value = cache.get('o') as typeof original
    t.deepEqual(value, original)
    value.a = 9
    value.list[0] = { b: 9 }
    value.list[1]?.c?.push(9)
    value.list.push({ b: 9 })
    value.inner.deep.x = 9
    Object.assign(value, { added: true })
  }
  t.is(near(t, cache, counts, 'o') === undefined, false)
})

test('frozen: an object with a Date is a fresh copy that may be changed', (t) => {
  const [cache, counts] = openCounted(t, { near: { objects: 'frozen' } })
  cache.set('o', { at: new Date(5), list: [1] })
  for (let i = 0; i < 4; i++) {
    const found = cache.get('o') as { at: Date; list: number[] }
    t.deepEqual(found, { at: new Date(5), list: [1] })
    found.at.setTime(9)
    found.list.push(9)
  }
  t.deepEqual(near(t, cache, counts, 'o'), { at: new Date(5), list: [1] })
})

test('a value of a custom codec is decoded at each read', (t) => {
  const kept = { same: true }
  const codec = { id: 1, encode: () => Uint8Array.of(1), decode: () => kept }
  const cache = openCache(t, { codec, near: { objects: 'frozen' } })
  cache.set('o', {})
  for (let i = 0; i < 4; i++) t.is(cache.get('o'), kept)
  t.false(Object.isFrozen(kept))
})

test('frozen: each version of an entry is one deeply frozen object', (t) => {
  const [cache, counts] = openCounted(t, { near: { objects: 'frozen' } })
  cache.set('o', { list: [{ b: 2 }], inner: { x: 1 } })
  const first = cache.get('o') as { list: { b: number }[]; inner: object }
  t.is(near(t, cache, counts, 'o'), first)
  for (const part of [first, first.list, first.list[0], first.inner]) t.true(Object.isFrozen(part))
  cache.set('o', { list: [], inner: {} })
  t.not(cache.get('o'), first)
  t.true(Object.isFrozen((cache.getMany(['o'])[0] as { inner: object }).inner))
  cache.set('p', { never: 'read before' })
  t.true(Object.isFrozen(cache.getMany(['p'])[0]))
})

test('__proto__ is data, in both modes', (t) => {
  const value: unknown = JSON.parse('{"a":{"__proto__":{"polluted":true}}}')
  for (const objects of ['copy', 'frozen'] as const) {
    const cache = openCache(t, { near: { objects } })
    cache.set('o', value)
    for (let i = 0; i < 4; i++) {
      const found = cache.get('o') as { a: object }
      t.deepEqual(Object.keys(found.a), ['__proto__'])
      t.is(Object.getPrototypeOf(found.a), Object.prototype)
    }
    t.is(({} as { polluted?: boolean }).polluted, undefined)
  }
})

test('near: false makes no near copies, and every namespace may choose for itself', (t) => {
  const [cache, counts] = openCounted(t, { near: false })
  cache.set('a', 1)
  for (let i = 0; i < 5; i++) t.is(cache.get('a'), 1)
  t.is(counts['get'], 5)
  const [inner, innerCounts] = counted(() => cache.namespace('inner', { near: { objects: 'frozen' } }))
  inner.set('a', { b: 1 })
  t.true(Object.isFrozen(near(t, inner, innerCounts, 'a')))

  const [other, otherCounts] = counted(() => openCache(t).namespace('without', { near: false }))
  other.set('a', 1)
  for (let i = 0; i < 5; i++) other.get('a')
  t.is(otherCounts['get'], 5)
})

test('getMany takes near copies, and asks the segment once for the rest', (t) => {
  const [cache, counts] = openCounted(t)
  const values: unknown[] = ['text', null, { a: 1 }, 0, Buffer.from('b'), undefined, false]
  const keys = values.map((_, i) => `k${i}`)
  for (const [i, value] of values.entries()) if (value !== undefined) cache.set(`k${i}`, value)
  for (let round = 0; round < 4; round++) {
    for (const key of keys) cache.get(key)
    t.deepEqual(cache.getMany(keys), values)
  }
  t.is(counts['getMany'], 4)
  cache.delete('k4')
  t.deepEqual(cache.getMany(['k0', 'k1', 'k2']), ['text', null, { a: 1 }])
  t.is(counts['getMany'], 4)
})

test('a text and its UTF-8 bytes are one key', (t) => {
  const cache = openCache(t)
  for (const key of ['plain', 'żółć', 'a\uFFFDb', 'x'.repeat(300), 'ü'.repeat(300)]) {
    for (let i = 0; i < 4; i++) {
      cache.set(i % 2 === 0 ? key : Buffer.from(key), i)
      for (let read = 0; read < 3; read++) {
        t.is(cache.get(key), i)
        t.is(cache.get(Buffer.from(key)), i)
      }
    }
  }
  t.throws(() => cache.get('\uD800'), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.get(7 as unknown as string), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cache.get(''), { code: 'ERR_INVALID_ARGUMENT' })
})
