/**
 * The place of an adapter in a cache: a namespace of its own, so that a `clear` of the host leaves all other entries.
 */
import type { CacheStore } from '../../cache/store.ts'
import { invalid } from '../../errors.ts'

/** The methods by which an adapter tells a cache from something else that was passed. */
const METHODS = ['get', 'set', 'delete', 'namespace'] as const

/**
 * The namespace of an adapter.
 *
 * @param adapter The function that was called, for the error.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT` if `cache` is not a cache.
 */
export function adapterSpace(adapter: string, cache: CacheStore, namespace: string): CacheStore {
  checkStore(adapter, cache)
  return cache.namespace(namespace)
}

/** Throws if `cache` is not a cache. */
export function checkStore(adapter: string, cache: unknown): void {
  const given = cache as Record<string, unknown> | null | undefined
  if (METHODS.every((name) => typeof given?.[name] === 'function')) return
  throw invalid(`${adapter} takes a cache, as open({ name: 'app' }) returns it`, cache)
}

/** A namespace inside the place of an adapter; the place itself without a name. */
export function spaceOf(root: CacheStore, name: string | undefined): CacheStore {
  return name === undefined || name === '' ? root : root.namespace(name)
}
