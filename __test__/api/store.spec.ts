/**
 * The contract of a `CacheStore`: for `SharedCache` with each kind of near cache, for a namespace of it, and for a Map
 * that is independent of this package.
 */
import test from 'ava'
import type { NearOptions } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { MapStore } from '../helpers/map-store.ts'
import { openStopped } from '../helpers/segment.ts'
import { storeSuite } from '../helpers/store-suite.ts'
import type { StoreTraits } from '../helpers/store-suite.ts'

/** The kinds of near caches: a row for each way in which a `get` may find its value. */
const NEAR: [what: string, near: false | NearOptions | undefined, traits: StoreTraits][] = [
  ['default near', undefined, { objects: 'copy' }],
  ['near: false', false, { objects: 'copy' }],
  ["near: { objects: 'copy' }", { objects: 'copy' }, { objects: 'copy' }],
  ["near: { objects: 'frozen' }", { objects: 'frozen' }, { objects: 'frozen' }],
  ['near: { maxEntries: 2 }', { maxEntries: 2 }, { objects: 'copy' }],
]

for (const [what, near, traits] of NEAR) {
  storeSuite(
    test,
    `SharedCache, ${what}`,
    (t) => {
      const store = openStopped(t, { near })
      return { store, advance: (milliseconds) => advance(store, milliseconds) }
    },
    traits,
  )
  storeSuite(
    test,
    `a namespace of SharedCache, ${what}`,
    (t) => {
      const root = openStopped(t, { near })
      return { store: root.namespace('store'), advance: (milliseconds) => advance(root, milliseconds) }
    },
    traits,
  )
}

storeSuite(test, 'a Map', () => {
  const store = new MapStore()
  return { store, advance: (milliseconds) => store.advance(milliseconds) }
})

test('clear of the root clears its namespaces as well', (t) => {
  for (const store of [openStopped(t), new MapStore()]) {
    const inner = store.namespace('one').namespace('two')
    inner.set('a', 1)
    store.clear()
    t.false(inner.has('a'))
  }
})
