/**
 * Calls for many keys.
 */
import { absent, holds } from './contract.ts'
import type { Contract } from './contract.ts'

export function manyKeys(contract: Contract): void {
  contract('calls for many keys return results in the order of their input', (t, { store }) => {
    t.deepEqual(
      store.setMany([
        ['a', 1],
        ['b', { v: 2 }],
        ['c', null],
      ]),
      [true, true, true],
    )
    t.deepEqual(store.getMany(['c', 'none', 'b', 'a']), [null, undefined, { v: 2 }, 1])
    t.deepEqual(store.hasMany(['none', 'a', 'c']), [false, true, true])
    t.deepEqual(store.deleteMany(['a', 'none', 'c']), [true, false, true])
    t.deepEqual(store.getMany(['a', 'b', 'c']), [undefined, { v: 2 }, undefined])
  })

  contract('calls for many keys take any iterable, also an empty one', (t, { store }) => {
    t.deepEqual([store.getMany([]), store.setMany([]), store.deleteMany([]), store.hasMany([])], [[], [], [], []])
    t.deepEqual(store.setMany(new Map([['a', 1]])), [true])
    t.deepEqual(store.getMany(new Set(['a'])), [1])
    t.deepEqual(store.hasMany(store.keys()), [true])
    t.deepEqual(
      store.deleteMany(
        (function* () {
          yield 'a'
        })(),
      ),
      [true],
    )
    absent(t, store, 'a')
  })

  contract('a value that is not iterable throws', (t, { store }) => {
    for (const wrong of [undefined, null, 5, 'abc', { a: 1 }]) {
      const what = { code: 'ERR_INVALID_ARGUMENT' }
      t.throws(() => store.getMany(wrong as never), what, `getMany ${String(wrong)}`)
      t.throws(() => store.setMany(wrong as never), what, `setMany ${String(wrong)}`)
      t.throws(() => store.deleteMany(wrong as never), what, `deleteMany ${String(wrong)}`)
      t.throws(() => store.hasMany(wrong as never), what, `hasMany ${String(wrong)}`)
    }
    t.throws(() => store.setMany(['ab'] as never), { code: 'ERR_INVALID_ARGUMENT' })
    t.deepEqual([...store.keys()], [])
  })

  contract('the last value of a repeated key is kept', (t, { store }) => {
    const value = (i: number): string => `${i}\uFFFD`.slice(0, 1 + (i % 2))
    for (const key of ['a', 'x\uFFFD']) {
      t.deepEqual(store.setMany([0, 1, 2, 3, 4, 5, 6].map((i) => [key, value(i)])), Array(7).fill(true))
      holds(t, store, key, value(6))
      t.deepEqual(store.getMany([key, 'none', key]), [value(6), undefined, value(6)])
      t.deepEqual(store.deleteMany([key, key]), [true, false])
    }
  })

  contract('setMany takes a lifetime for all items and for each item', (t, { store, advance }) => {
    store.setMany(
      [
        ['a', 1],
        ['b', 2, 500],
        ['c', 3, { ttl: '2s' }],
        ['d', 4, {}],
      ],
      1000,
    )
    t.deepEqual([...'abcd'].map((key) => store.ttl(key)).slice(0, 3), [1000, 500, 2000])
    t.is(store.ttl('d'), Infinity, 'its own options have no lifetime')
    advance(1000)
    t.deepEqual(store.hasMany([...'abcd']), [false, false, true, true])
  })

  contract('setMany stores nothing if any item is wrong', (t, { store }) => {
    store.set('kept', 1)
    const wrong: [code: string, item: unknown][] = [
      ['ERR_UNDEFINED_VALUE', ['c', undefined]],
      ['ERR_UNSERIALIZABLE', ['c', { f: () => 1 }]],
      ['ERR_INVALID_ARGUMENT', ['', 1]],
      ['ERR_INVALID_ARGUMENT', ['\uD800', 1]],
      ['ERR_INVALID_ARGUMENT', [5, 1]],
      ['ERR_KEY_TOO_LONG', ['x'.repeat(8193), 1]],
      ['ERR_KEY_TOO_LONG', [Buffer.alloc(8193), 1]],
      ['ERR_INVALID_TTL', ['c', 1, 0]],
      ['ERR_INVALID_TTL', ['c', 1, { expiresAt: Number.NaN }]],
      ['ERR_INVALID_ARGUMENT', 'cd'],
      ['ERR_INVALID_ARGUMENT', undefined],
    ]
    for (const [code, item] of wrong) {
      const items = [['a', 1], ['kept', 2], item, ['b', 1]]
      t.throws(() => store.setMany(items as never), { code }, code)
      t.deepEqual([...store.keys()], ['kept'])
      holds(t, store, 'kept', 1)
    }
  })
}
