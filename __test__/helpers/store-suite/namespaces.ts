/**
 * Walks over keys, `clear`, and namespaces.
 */
import type { Key } from '../../../index.ts'
import { absent, holds } from './contract.ts'
import type { Contract } from './contract.ts'

export function walksAndNamespaces(contract: Contract): void {
  contract('keys returns each key once, also with a prefix', (t, { store, advance }) => {
    const names = Array.from({ length: 1000 }, (_, i) => `k:${i}`)
    store.setMany(names.map((key, i) => [key, i]))
    store.set('other', 1)
    store.set('gone', 1, 10)
    advance(10)
    t.deepEqual([...store.keys({ prefix: 'k:' })].toSorted(), names.toSorted())
    t.deepEqual([...store.keys()].toSorted(), [...names, 'other'].toSorted())
    t.deepEqual([...store.keys({ prefix: 'k:99' })].toSorted(), ['k:99', ...names.slice(990)].toSorted())
    t.deepEqual([...store.keys({ prefix: 'none' })], [])
  })

  contract('keys can be awaited, and a signal ends the walk', async (t, { store }) => {
    const names = Array.from({ length: 1000 }, (_, i) => `k:${i}`)
    store.setMany([...names.map((key, i) => [key, i] as const), ['other', 1]])
    const awaited: Key[] = []
    for await (const key of store.keys({ prefix: 'k:' })) awaited.push(key)
    t.deepEqual(awaited.toSorted(), names.toSorted())
    const controller = new AbortController()
    const walk = store.keys({ signal: controller.signal })[Symbol.asyncIterator]()
    t.false((await walk.next()).done)
    controller.abort(new Error('enough'))
    await t.throwsAsync(walk.next(), { message: 'enough' })
    t.throws(() => [...store.keys({ signal: controller.signal })], { message: 'enough' })
  })

  contract('entries may be deleted during a walk over the keys', (t, { store }) => {
    store.setMany(Array.from({ length: 1000 }, (_, i) => [`k${i}`, i]))
    let count = 0
    for (const key of store.keys()) if (store.delete(key)) count++
    t.is(count, 1000)
    t.deepEqual([...store.keys()], [])
  })

  contract('clear empties the store', (t, { store }) => {
    store.setMany([
      ['a', { v: 1 }],
      ['b', 'text'],
    ])
    holds(t, store, 'a', { v: 1 })
    holds(t, store, 'b', 'text')
    store.clear()
    absent(t, store, 'a')
    absent(t, store, 'b')
    t.deepEqual([...store.keys()], [])
    store.set('a', 2)
    holds(t, store, 'a', 2)
  })

  contract('a namespace has keys of its own', (t, { store, advance }) => {
    const [one, two] = [store.namespace('one'), store.namespace('two')]
    for (const [value, where] of [store, one, two].entries()) where.set('a', { value }, 1000)
    for (const [value, where] of [store, one, two].entries()) holds(t, where, 'a', { value })
    one.delete('a')
    absent(t, one, 'a')
    holds(t, store, 'a', { value: 0 })
    holds(t, two, 'a', { value: 2 })
    two.set('b', 1)
    t.deepEqual([...two.keys()].toSorted(), ['a', 'b'])
    t.deepEqual([...store.keys()], ['a'])
    advance(1000)
    absent(t, two, 'a')
    holds(t, two, 'b', 1)
  })

  contract('equal names are one namespace, and namespaces can be nested', (t, { store }) => {
    store.namespace('one').set('a', 1)
    holds(t, store.namespace('one'), 'a', 1)
    store.namespace('one').namespace('inner').set('a', 2)
    holds(t, store.namespace('one').namespace('inner'), 'a', 2)
    holds(t, store.namespace('one'), 'a', 1)
    absent(t, store.namespace('inner'), 'a')
  })

  contract('clear of a namespace leaves all other namespaces', (t, { store }) => {
    const [one, two] = [store.namespace('one'), store.namespace('two')]
    for (const where of [store, one, two]) where.set('a', 1)
    for (const where of [store, one, two]) holds(t, where, 'a', 1)
    one.clear()
    absent(t, one, 'a')
    holds(t, store, 'a', 1)
    holds(t, two, 'a', 1)
  })

  contract('a wrong name of a namespace throws', (t, { store }) => {
    for (const wrong of ['', '\uD800', undefined, null, 5]) {
      t.throws(() => store.namespace(wrong as string), { code: 'ERR_INVALID_ARGUMENT' })
    }
  })
}
