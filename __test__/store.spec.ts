/**
 * The contract of a `CacheStore`, for our class, for a namespace of it, and for a Map that knows nothing of us.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { advance } from '../lib/testing.ts'
import { MapStore } from './helpers/map-store.ts'
import { openStopped } from './helpers/segment.ts'
import { storeSuite } from './store.suite.ts'
import type { OpenedStore } from './store.suite.ts'

const NEAR = {
  'without a near cache': false,
  'with copies near': { objects: 'copy' },
  'with frozen objects near': { objects: 'frozen' },
  'with room for two near': { maxEntries: 2 },
} as const

for (const [how, near] of Object.entries(NEAR)) {
  const open = (t: ExecutionContext): OpenedStore => {
    const store = openStopped(t, { near })
    return { store, advance: (milliseconds) => advance(store, milliseconds) }
  }
  storeSuite(test, `SharedCache ${how}`, open, near === NEAR['with frozen objects near'] ? { objects: 'frozen' } : {})
}

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
