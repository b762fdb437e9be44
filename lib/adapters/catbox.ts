/**
 * cache-machine/catbox: a cache as an engine of catbox 12, so of hapi 21.
 *
 * Lifetimes are milliseconds, and values keep what the cache can store. Reads of a segment in trouble are misses; writes
 * reject, which a policy of catbox ignores unless it is told otherwise.
 */
import type { CacheStore } from '../cache/store.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { replaceFor } from './shared/lifetimes.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `catboxEngine`. */
export interface CatboxEngineOptions {
  /** The namespace of the cache that has all items. Default: `catbox`. */
  namespace?: string | undefined
}

/** The key of an item. Items of different segments are apart. */
export interface CatboxKey {
  segment: string
  /** May be empty. */
  id: string
}

/** An item, as catbox reads it. */
export interface CatboxItem<T = unknown> {
  item: T
  /** The moment of the write in epoch milliseconds. */
  stored: number
  /** The lifetime from then on. */
  ttl: Milliseconds
}

/** The engine that `catboxEngine` returns. catbox calls its methods. */
export class CatboxEngine<T = unknown> {
  readonly #space: CacheStore
  #started = false

  constructor(space: CacheStore) {
    this.#space = space
  }

  async start(): Promise<void> {
    this.#started = true
  }

  /** The items stay: the cache belongs to the application, which closes it. */
  async stop(): Promise<void> {
    this.#started = false
  }

  isReady(): boolean {
    return this.#started
  }

  /** Null, or an error for a name that is empty or has a null character. */
  validateSegmentName(name: string): Error | null {
    if (!name) return new Error('Empty string')
    return name.includes('\0') ? new Error('Includes null character') : null
  }

  async get(key: CatboxKey): Promise<CatboxItem<T> | null> {
    return (this.#space.get(nameOf(key)) as CatboxItem<T> | undefined) ?? null
  }

  /** @param ttl 0 and less delete the item, as does undefined for the value. */
  async set(key: CatboxKey, value: T, ttl: Milliseconds): Promise<void> {
    const item: CatboxItem<T> = { item: value, stored: Date.now(), ttl }
    const name = nameOf(key)
    replaceFor(this.#space, name, value === undefined ? undefined : item, ttl)
  }

  async drop(key: CatboxKey): Promise<void> {
    this.#space.delete(nameOf(key))
  }
}

/**
 * An engine for catbox and hapi.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `CatboxEngineOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const server = Hapi.server({ cache: [{ name: 'shared', engine: catboxEngine(open({ name: 'app' })) }] })
 */
export function catboxEngine<T = unknown>(
  cache: CacheStore,
  { namespace = 'catbox' }: CatboxEngineOptions = {},
): CatboxEngine<T> {
  return new CatboxEngine<T>(adapterSpace('catboxEngine', cache, namespace))
}

/** A segment has no null character. */
function nameOf({ segment, id }: CatboxKey): string {
  return `${segment}\0${id}`
}
