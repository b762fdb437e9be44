/**
 * What all parts of the suite share: the store under test, how a part declares a test, and checks through all ways of
 * reading.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ExecutionContext } from 'ava'
import type { CacheStore, Key } from '../../../index.ts'

/** A fresh, empty store, and a function that moves its clock, which otherwise stands still. */
export interface OpenedStore {
  readonly store: CacheStore
  advance(milliseconds: number): void
}

export interface StoreTraits {
  /**
   * What `get` returns for an object. `'copy'`: the caller's own object, which may be changed. `'frozen'`: a deeply
   * frozen object, which other callers may get as well. Default: `'copy'`.
   */
  readonly objects?: 'copy' | 'frozen'
}

/** Declares a test of the contract. */
export type Contract = (sentence: string, run: (t: ExecutionContext, opened: OpenedStore) => unknown) => void

/** Every method that takes a key, with valid other arguments. */
export function byKey(store: CacheStore): Record<string, (key: Key) => unknown> {
  return {
    get: (key) => store.get(key),
    set: (key) => store.set(key, 1),
    delete: (key) => store.delete(key),
    has: (key) => store.has(key),
    ttl: (key) => store.ttl(key),
    touch: (key) => store.touch(key, 1000),
    incr: (key) => store.incr(key),
    getMany: (key) => store.getMany([key]),
    setMany: (key) => store.setMany([[key, 1]]),
    deleteMany: (key) => store.deleteMany([key]),
    hasMany: (key) => store.hasMany([key]),
  }
}

/** All ways of reading find this value, twice in a row: a near copy may answer the second time. */
export function holds(t: ExecutionContext, store: CacheStore, key: Key, value: unknown): void {
  for (let i = 0; i < 2; i++) {
    const [found, one] = [store.get(key), store.getMany([key])[0]]
    t.true(isDeepStrictEqual(found, value), `get of ${String(key).slice(0, 20)}`)
    t.true(isDeepStrictEqual(one, value), `getMany of ${String(key).slice(0, 20)}`)
    t.true(store.has(key))
    t.deepEqual(store.hasMany([key]), [true])
    t.true((store.ttl(key) ?? 0) > 0)
  }
}

/** All ways of reading find nothing. */
export function absent(t: ExecutionContext, store: CacheStore, key: Key): void {
  for (let i = 0; i < 2; i++) {
    t.is(store.get(key), undefined)
    t.deepEqual(store.getMany([key]), [undefined])
    t.false(store.has(key))
    t.deepEqual(store.hasMany([key]), [false])
    t.is(store.ttl(key), undefined)
  }
}
