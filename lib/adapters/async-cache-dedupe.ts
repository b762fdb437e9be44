/**
 * cache-machine/async-cache-dedupe: a cache as a custom storage of async-cache-dedupe 3, so of Fastify plugins over it.
 *
 * Lifetimes are seconds; 0 and less store nothing. References are tags, also as patterns with `*`. No call rejects: a
 * segment in trouble must not fail the function that is cached. `onError` gets its errors.
 */
import type { CacheStore, TaggedStore } from '../cache/store.ts'
import { secondsToMs } from './shared/lifetimes.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `dedupeStorage`. */
export interface DedupeStorageOptions {
  /** The namespace of the cache that has all entries. Default: `async-cache-dedupe`. */
  namespace?: string | undefined
  /** Gets the errors of the cache. Default: they are ignored. */
  onError?: ((error: unknown) => void) | undefined
}

/** The storage that `dedupeStorage` returns. async-cache-dedupe calls its methods. */
export class DedupeStorage {
  readonly #space: TaggedStore
  /** The references that entries have, for patterns. */
  readonly #references: CacheStore
  readonly #onError: (error: unknown) => void

  constructor(space: TaggedStore, references: CacheStore, onError: (error: unknown) => void) {
    this.#space = space
    this.#references = references
    this.#onError = onError
  }

  // oxlint-disable-next-line typescript/no-explicit-any -- As in the interface of the host.
  async get(key: string): Promise<any> {
    return this.#attempt(() => this.#space.get(key))
  }

  /**
   * @param ttl Seconds.
   * @param references At most 128.
   */
  async set(key: string, value: unknown, ttl: number, references?: string | readonly string[]): Promise<void> {
    const ms = secondsToMs(Number(ttl)) ?? NaN
    if (!(ms > 0) || value === undefined) return
    const tags = typeof references === 'string' ? [references] : (references ?? [])
    this.#attempt(() => {
      // Before the entry, so that a pattern finds all references of entries.
      for (const tag of tags) {
        if ((this.#references.ttl(tag) ?? 0) < ms) this.#references.set(tag, 1, ms)
      }
      this.#space.set(key, value, { ttl: ms, tags })
    })
  }

  /** A boolean: false without an entry, as its own storages answer. */
  // oxlint-disable-next-line typescript/no-explicit-any -- The host declares void.
  async remove(key: string): Promise<any> {
    return this.#attempt(() => this.#space.delete(key)) ?? false
  }

  /** Invalidates the entries with one of these references. In a reference, `*` stands for any text. */
  async invalidate(references: string | readonly string[]): Promise<void> {
    this.#attempt(() => {
      for (const reference of typeof references === 'string' ? [references] : references) {
        const tags = reference.includes('*') ? this.#matching(reference) : [reference]
        for (const tag of tags) this.#space.invalidateTags(tag)
      }
    })
  }

  /** Deletes the entries with keys that begin with `name`; without one, all of the storage. */
  async clear(name?: string): Promise<void> {
    this.#attempt(() => {
      if (!name) this.#space.clear()
      else for (const key of this.#space.keys({ prefix: name })) this.#space.delete(key)
    })
  }

  /** Does nothing. */
  async refresh(): Promise<void> {}

  /** Seconds, rounded up; 0 without an entry. */
  // oxlint-disable-next-line typescript/no-explicit-any -- The host declares void, and takes a number.
  async getTTL(key: string): Promise<any> {
    return this.#attempt(() => Math.ceil((this.#space.ttl(key) ?? 0) / 1000)) ?? 0
  }

  async exists(key: string): Promise<boolean> {
    return this.#attempt(() => this.#space.has(key)) ?? false
  }

  #matching(pattern: string): string[] {
    const [start = ''] = pattern.split('*', 1)
    const parts = pattern.split('*').map((part) => part.replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`))
    const expression = new RegExp(`^${parts.join('.*')}$`, 's')
    const keys = this.#references.keys(start === '' ? {} : { prefix: start })
    return Array.from(keys, String).filter((reference) => expression.test(reference))
  }

  #attempt<T>(work: () => T): T | undefined {
    try {
      return work()
    } catch (error) {
      this.#onError(error)
      return undefined
    }
  }
}

/**
 * A storage for async-cache-dedupe.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `DedupeStorageOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const storage = dedupeStorage(open({ name: 'app' }))
 * const users = createCache({ ttl: 60, storage: { type: 'custom', options: { storage } } })
 */
export function dedupeStorage(cache: TaggedStore, options: DedupeStorageOptions = {}): DedupeStorage {
  const { namespace = 'async-cache-dedupe', onError = () => undefined } = options
  const space = adapterSpace('dedupeStorage', cache, namespace) as TaggedStore
  return new DedupeStorage(space, cache.namespace(`${namespace}.references`), onError)
}
