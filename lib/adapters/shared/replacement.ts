/**
 * What the replacements of caches inside one process share: their place in a cache, and keys that are not texts.
 */
import type { CacheStore, NamespacedStore } from '../../cache/store.ts'
import type { Bytes } from '../../arguments/units.ts'
import { invalid } from '../../errors.ts'
import { checkStore } from './space.ts'

/** Where a replacement keeps its entries. */
export interface PlaceOptions {
  /** The cache that has the entries: all processes that open it see them. */
  cache: CacheStore
  /**
   * The namespace of the cache. Objects with the same one share their entries, as those of several workers should.
   * Default: the name of the adapter, for one object of each cache and thread. A second one needs a name.
   */
  namespace?: string | undefined
  /** Maximum size of the namespace; beyond it, its own entries are evicted. Default: that of the cache. */
  size?: Bytes | undefined
}

/** A key that is not an object. Keys of different types are different keys, as in a Map: 1 is not '1'. */
export type PrimitiveKey = string | number | bigint | boolean | null | undefined

/** The caches that have an object without a name, by adapter. */
const unnamed = new Map<string, WeakSet<CacheStore>>()

/**
 * The namespace of a replacement.
 *
 * @throws {CacheError} `ERR_INVALID_ARGUMENT` without a cache, or for a second object without a name; as `namespace`.
 */
export function placeOf(adapter: string, usual: string, { cache, namespace, size }: PlaceOptions): CacheStore {
  checkStore(`${adapter}({ cache })`, cache)
  if (namespace === undefined) {
    const taken = unnamed.get(usual) ?? new WeakSet()
    unnamed.set(usual, taken)
    if (taken.has(cache)) {
      throw invalid(`a second ${adapter} of a cache needs the option namespace, or both share their entries`, namespace)
    }
    taken.add(cache)
  }
  const name = namespace ?? usual
  return size === undefined ? cache.namespace(name) : (cache as NamespacedStore).namespace(name, { size })
}

/**
 * The key of the cache for a key of a Map: the first character is the type, so an empty text is a key as well.
 *
 * @throws {CacheError} `ERR_INVALID_ARGUMENT` for an object, a function or a symbol: other processes do not have it.
 */
export function keyOf(key: unknown): string {
  switch (typeof key) {
    case 'string':
      return `"${key}`
    case 'number':
      return `#${key === 0 ? 0 : key}`
    case 'bigint':
      return `n${key}`
    case 'boolean':
    case 'undefined':
      return `!${key}`
    default:
      if (key === null) return '!null'
      throw invalid('a key is a text, a number, a bigint, a boolean, null or undefined', key)
  }
}

const words: Record<string, PrimitiveKey> = { '!true': true, '!false': false, '!null': null, '!undefined': undefined }

/** The key that `keyOf` was called with. */
export function keyFrom(text: string): PrimitiveKey {
  if (text.startsWith('"')) return text.slice(1)
  if (text.startsWith('#')) return Number(text.slice(1))
  return text.startsWith('n') ? BigInt(text.slice(1)) : words[text]
}

/** What the replacements of a Map have in common. */
export class MapReplacement<K, V> implements Iterable<[K, V]> {
  readonly #space: CacheStore

  constructor(space: CacheStore) {
    this.#space = space
  }

  get(key: K): V | undefined {
    return this.#space.get(keyOf(key)) as V | undefined
  }

  has(key: K): boolean {
    return this.#space.has(keyOf(key))
  }

  delete(key: K): boolean {
    return this.#space.delete(keyOf(key))
  }

  /** Deletes the entries of this object in all processes. */
  clear(): void {
    this.#space.clear()
  }

  /** The number of entries. Walks over all of them, and blocks the event loop meanwhile. */
  get size(): number {
    return Array.from(this.#space.keys()).length
  }

  *keys(): Generator<K, undefined> {
    for (const [key] of this) yield key
  }

  *values(): Generator<V, undefined> {
    for (const [, value] of this) yield value
  }

  /** In one run and in no order. Blocks the event loop as long as the caller iterates. An entry that is removed meanwhile may be left out. */
  *entries(): Generator<[K, V], undefined> {
    for (const key of this.#space.keys()) {
      if (typeof key !== 'string') continue
      const value = this.#space.get(key)
      if (value !== undefined) yield [keyFrom(key) as K, value as V]
    }
  }

  [Symbol.iterator](): Generator<[K, V], undefined> {
    return this.entries()
  }
}

/** Throws for the options of a replaced class that would change what it does, and have no effect here. */
export function refuse(adapter: string, options: object, reasons: Record<string, string>): void {
  const given = options as Record<string, unknown>
  for (const [name, reason] of Object.entries(reasons)) {
    if (given[name] === undefined || given[name] === false) continue
    throw invalid(`${adapter} has no option ${name}: ${reason}`, given[name])
  }
}
