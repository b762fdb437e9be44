/**
 * The contract of a `CacheStore`, for our class, for a namespace of it, and for a Map that knows nothing of us.
 */
import test from 'ava'
import { advance } from '../lib/testing.ts'
import { MapStore } from './helpers/map-store.ts'
import { openStopped } from './helpers/segment.ts'
import { storeSuite } from './store.suite.ts'

storeSuite(test, 'SharedCache', (t) => {
  const store = openStopped(t)
  return { store, advance: (milliseconds) => advance(store, milliseconds) }
})

storeSuite(test, 'a namespace of SharedCache', (t) => {
  const root = openStopped(t)
  return { store: root.namespace('store'), advance: (milliseconds) => advance(root, milliseconds) }
})

storeSuite(test, 'a Map', () => {
  const store = new MapStore()
  return { store, advance: (milliseconds) => store.advance(milliseconds) }
})

test('clear of the root clears its namespaces, too', (t) => {
  for (const store of [openStopped(t), new MapStore()]) {
    const inner = store.namespace('one').namespace('two')
    inner.set('a', 1)
    store.clear()
    t.false(inner.has('a'))
  }
})
