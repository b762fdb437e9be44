/**
 * `close`.
 */
import { byKey, holds } from './contract.ts'
import type { Contract } from './contract.ts'

export function closing(contract: Contract): void {
  contract('a closed store and its namespaces throw, and closing again raises nothing', (t, { store }) => {
    const inner = store.namespace('one')
    store.set('a', 1)
    store.close()
    for (const closed of [store, inner]) {
      const calls: ReturnType<typeof byKey> = {
        ...byKey(closed),
        keys: () => closed.keys().next(),
        clear: () => closed.clear(),
        namespace: () => closed.namespace('x'),
      }
      for (const [method, call] of Object.entries(calls)) {
        t.throws(() => call('a'), { code: 'ERR_CLOSED' }, method)
      }
    }
    t.notThrows(() => store.close())
    t.notThrows(() => inner.close())
  })

  contract(
    'close of a namespace deletes nothing, and closes neither its cache nor other namespaces',
    (t, { store }) => {
      const [one, other] = [store.namespace('one'), store.namespace('other')]
      one.set('a', 1)
      other.set('a', 3)
      one.close()
      holds(t, store.namespace('one'), 'a', 1)
      holds(t, other, 'a', 3)
      store.set('a', 2)
      holds(t, store, 'a', 2)
    },
  )
}
