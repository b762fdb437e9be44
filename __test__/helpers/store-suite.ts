/**
 * The contract of a `CacheStore`: what adapters rely on, as tests that any store must pass.
 *
 * `storeSuite` registers them for one factory, so a spec can call it for several stores and for several options of one
 * store. The tests read through all ways of reading, before and after each step: a store with near copies must not
 * return old values.
 */
import type { ExecutionContext, TestFn } from 'ava'
import { closing } from './store-suite/closing.ts'
import { conditionsAndCounters } from './store-suite/conditions-and-counters.ts'
import type { Contract, OpenedStore, StoreTraits } from './store-suite/contract.ts'
import { keys } from './store-suite/keys.ts'
import { lifetimes } from './store-suite/lifetimes.ts'
import { loading } from './store-suite/loading.ts'
import { manyKeys } from './store-suite/many-keys.ts'
import { walksAndNamespaces } from './store-suite/namespaces.ts'
import { oneKey } from './store-suite/one-key.ts'

export type { OpenedStore, StoreTraits } from './store-suite/contract.ts'

/** Registers the suite. `open` makes a store that is removed when its test ends. */
export function storeSuite(
  test: TestFn,
  name: string,
  open: (t: ExecutionContext) => OpenedStore,
  { objects = 'copy' }: StoreTraits = {},
): void {
  const contract: Contract = (sentence, run) => {
    test(`${name}: ${sentence}`, (t) => run(t, open(t)) as void)
  }
  oneKey(contract, objects)
  keys(contract)
  lifetimes(contract)
  conditionsAndCounters(contract)
  manyKeys(contract)
  loading(contract)
  walksAndNamespaces(contract)
  closing(contract)
}
