/**
 * Values under one key: what is stored, and what callers may do with it.
 */
import { absent, holds } from './contract.ts'
import type { Contract, StoreTraits } from './contract.ts'

export function oneKey(contract: Contract, objects: StoreTraits['objects']): void {
  contract('undefined is a miss, and every other value is a value', (t, { store }) => {
    absent(t, store, 'a')
    for (const value of [null, false, 0, '', Number.NaN]) {
      t.true(store.set('a', value))
      holds(t, store, 'a', value)
    }
  })

  contract('set replaces a value, and the next read sees it', (t, { store }) => {
    for (const value of ['text', 'other text', 1, { a: 1 }, { a: 2 }, [1], Buffer.from('x'), 'text']) {
      t.true(store.set('a', value))
      holds(t, store, 'a', value)
    }
  })

  contract('delete returns whether there was an entry', (t, { store }) => {
    t.false(store.delete('a'))
    store.set('a', 1)
    holds(t, store, 'a', 1)
    t.true(store.delete('a'))
    absent(t, store, 'a')
    t.false(store.delete('a'))
  })

  contract('values of every kind come back unchanged', (t, { store }) => {
    for (const value of VALUES()) {
      store.set('a', value)
      holds(t, store, 'a', value)
    }
  })

  contract('an object keeps its cycles and its shared objects', (t, { store }) => {
    const inner = { x: 1 }
    const value: { twice: object[]; self?: unknown } = { twice: [inner, inner] }
    value.self = value
    store.set('a', value)
    const found = store.get('a') as typeof value
    t.is(found.self, found)
    t.is(found.twice[0], found.twice[1])
    t.deepEqual(found.twice[0], inner)
  })

  contract('the caller may change a value that it has set', (t, { store }) => {
    const value = { list: [1] }
    const bytes = Buffer.from('abc')
    store.set('a', value)
    store.set('b', bytes)
    store.setMany([
      ['c', value],
      ['d', bytes],
    ])
    value.list.push(2)
    bytes.fill('x')
    for (const key of ['a', 'c']) holds(t, store, key, { list: [1] })
    for (const key of ['b', 'd']) holds(t, store, key, Buffer.from('abc'))
  })

  if (objects === 'copy') {
    contract('the caller may change a value that it gets', (t, { store }) => {
      store.set('a', { list: [1] })
      const reads = [() => store.get('a'), () => store.getMany(['a'])[0]] as (() => { list: number[] })[]
      for (const read of reads) {
        read().list.push(2)
        holds(t, store, 'a', { list: [1] })
      }
    })
  } else {
    contract('the caller gets deeply frozen objects', (t, { store }) => {
      store.set('a', { list: [{ x: 1 }] })
      for (const found of [store.get('a'), store.getMany(['a'])[0]] as { list: object[] }[]) {
        t.true([found, found.list, found.list[0]].every((object) => Object.isFrozen(object)))
      }
    })
  }

  contract('the caller may change bytes that it gets', (t, { store }) => {
    store.set('a', Buffer.from('abc'))
    for (const found of [store.get('a'), store.getMany(['a'])[0]] as Buffer[]) {
      found.fill('x')
      holds(t, store, 'a', Buffer.from('abc'))
    }
  })

  contract('__proto__ is data', (t, { store }) => {
    store.set('a', JSON.parse('{"__proto__":{"polluted":true}}'))
    const found = store.get('a') as object
    t.is(Object.getPrototypeOf(found), Object.prototype)
    t.true(Object.hasOwn(found, '__proto__'))
    t.is(({} as { polluted?: boolean }).polluted, undefined)
  })

  contract('a value that cannot be stored throws and changes nothing', (t, { store }) => {
    store.set('a', 1)
    t.throws(() => store.set('a', undefined), { code: 'ERR_UNDEFINED_VALUE' })
    t.throws(() => store.set('a', () => 1), { code: 'ERR_UNSERIALIZABLE' })
    t.throws(() => store.set('a', { deep: [Symbol('s')] }), { code: 'ERR_UNSERIALIZABLE' })
    holds(t, store, 'a', 1)
  })
}

/** Made anew for each test: tests must not share values. */
function VALUES(): unknown[] {
  return [
    'x'.repeat(100_000),
    'é€😀 \uFFFD \uFEFF \0',
    -0,
    0.1,
    Infinity,
    -Infinity,
    Number.MAX_VALUE,
    true,
    0n,
    -(2n ** 63n),
    2n ** 200n,
    {},
    [],
    { a: { b: [1, 'x', null, { c: -1.5e-7 }] }, '': 1, 'a.b': 2 },
    [-0, Number.NaN, undefined, 5n],
    { u: undefined },
    new Date(0),
    /x+/giu,
    new Map<unknown, unknown>([
      ['a', 1],
      [{ k: 1 }, new Map()],
    ]),
    new Set([1, 'a', null]),
    new Uint8Array([1, 2, 3]),
    Buffer.from([1, 2, 3]),
    Buffer.alloc(100_000, 7),
    new Float64Array([0.5, -0]),
    new BigInt64Array([1n]),
    new DataView(new ArrayBuffer(8), 2, 4),
    new ArrayBuffer(5),
    new RangeError('why', { cause: 'because' }),
  ]
}
