/**
 * cache-machine/undici: a cache as the store of the cache interceptor of undici 7 and 8, for `fetch` and `request`.
 *
 * A response has variants by `Vary`, and the moments that undici passes. A segment in trouble never fails a request: a
 * read is then a miss, and a response is not kept.
 */
import { createHash } from 'node:crypto'
import { Writable } from 'node:stream'
import type { TaggedStore } from '../cache/store.ts'
import { invalid } from '../errors.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `undiciStore`. */
export interface UndiciStoreOptions {
  /** The namespace of the cache that has all responses. Default: `undici`. */
  namespace?: string | undefined
  /** Maximum size of a body in bytes; a larger one is not kept. Default: no limit but that of the cache. */
  maxEntrySize?: number | undefined
}

/** The request, as undici passes it. */
export interface UndiciCacheKey {
  origin: string
  method: string
  path: string
  headers?: Record<string, string | string[]> | undefined
}

export type Vary = Record<string, string | string[] | null>

/** The head of a response, as undici passes it. */
export interface UndiciCacheValue {
  statusCode: number
  statusMessage: string
  headers: Record<string, string | string[]>
  vary?: Vary
  etag?: string
  // oxlint-disable-next-line typescript/no-explicit-any -- The directives differ between the versions of undici.
  cacheControlDirectives?: any
  /** Epoch milliseconds, as `staleAt` and `deleteAt`. */
  cachedAt: number
  staleAt: number
  deleteAt: number
}

/** A stored response. */
export interface UndiciCacheResult extends UndiciCacheValue {
  // oxlint-disable-next-line typescript/no-explicit-any -- As above.
  cacheControlDirectives: any
  body: Buffer[]
}

/** Maximum number of sets of header names by which the variants of one resource may differ; the latest are kept. */
const MAX_VARY = 16

/** The store that `undiciStore` returns. undici calls its methods. */
export class UndiciStore {
  readonly #space: TaggedStore
  readonly #maxEntrySize: number

  constructor(space: TaggedStore, maxEntrySize = Infinity) {
    this.#space = space
    this.#maxEntrySize = maxEntrySize
  }

  /** The response that fits the headers of the request, or undefined. */
  get(key: UndiciCacheKey): UndiciCacheResult | undefined {
    const { methodId } = idsOf(key)
    return attempt(() => {
      for (const names of this.#namesOf(methodId)) {
        const found = this.#space.get(variantOf(methodId, names, key.headers)) as UndiciCacheResult | undefined
        // The clock of undici is `Date`, which also decides whether a response is stale.
        if (found !== undefined && found.deleteAt > Date.now()) return found
      }
      return undefined
    })
  }

  /** Takes the body, and stores the response when the body is complete. A body that is too large is not kept. */
  createWriteStream(key: UndiciCacheKey, value: UndiciCacheValue): Writable | undefined {
    const ids = idsOf(key)
    const body: Buffer[] = []
    let size = 0
    const limit = this.#maxEntrySize
    const keep = (): void => this.#keep(ids, key, { cacheControlDirectives: {}, ...value, body: [Buffer.concat(body)] })
    return new Writable({
      write(chunk: Buffer | string, encoding, callback) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
        size += bytes.byteLength
        if (size > limit) this.destroy()
        else body.push(bytes)
        callback()
      },
      final(callback) {
        attempt(keep)
        callback()
      },
    })
  }

  /** Removes all responses of this address, in all processes. */
  delete(key: UndiciCacheKey): void {
    const { uriId } = idsOf(key)
    // undici calls this in a listener, where an error would end the process.
    attempt(() => this.#space.invalidateTags(uriId))
  }

  #keep({ uriId, methodId }: Ids, { headers }: UndiciCacheKey, result: UndiciCacheResult): void {
    const names = Object.keys(result.vary ?? {}).toSorted()
    const ttl = result.deleteAt - Date.now()
    const variant = variantOf(methodId, names, result.vary ?? headers)
    if (ttl <= 0) {
      this.#space.delete(variant)
      return
    }
    const tags = [uriId]
    if (!this.#space.set(variant, result, { ttl, tags })) return
    const known = this.#namesOf(methodId)
    if (known[0]?.join() === names.join() && (this.#space.ttl(methodId) ?? 0) >= ttl) return
    const others = known.filter((one) => one.join() !== names.join())
    const longest = Math.max(ttl, this.#space.ttl(methodId) ?? 0)
    this.#space.set(methodId, [names, ...others].slice(0, MAX_VARY), { ttl: longest, tags })
  }

  /** The sets of header names by which the responses of a resource differ, the latest first. */
  #namesOf(methodId: string): string[][] {
    return (this.#space.get(methodId) as string[][] | undefined) ?? []
  }
}

/**
 * A store for the cache interceptor of undici.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `UndiciStoreOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const agent = new Agent().compose(interceptors.cache({ store: undiciStore(open({ name: 'app' })) }))
 */
export function undiciStore(cache: TaggedStore, options: UndiciStoreOptions = {}): UndiciStore {
  const { namespace = 'undici', maxEntrySize } = options
  const isLimit = maxEntrySize === undefined || maxEntrySize >= 0
  if (!isLimit) throw invalid('maxEntrySize is a number of bytes, at least 0', maxEntrySize)
  return new UndiciStore(adapterSpace('undiciStore', cache, namespace) as TaggedStore, maxEntrySize)
}

interface Ids {
  /** Of the address: the tag of all its entries. */
  readonly uriId: string
  /** Of the address and the method. */
  readonly methodId: string
}

/** Digests, since an address may be longer than a key or a tag. */
function idsOf({ origin, path, method }: UndiciCacheKey): Ids {
  const uriId = digest([origin, path])
  return { uriId, methodId: `${uriId}:${method}` }
}

function variantOf(methodId: string, names: string[], headers: Vary | UndiciCacheKey['headers']): string {
  return `${methodId}:${digest(names.map((name) => [name, headers?.[name] ?? null]))}`
}

function digest(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}

/** The result, or undefined after an error of the cache. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch {
    return undefined
  }
}
