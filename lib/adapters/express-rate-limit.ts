/**
 * cache-machine/express-rate-limit: the store of express-rate-limit over a cache.
 *
 * The first hit of a key begins its window. A call that fails rejects: the host passes the error on, or lets the request
 * through with `passOnStoreError`.
 */
import type { Milliseconds } from '../arguments/units.ts'
import type { CacheStore } from '../cache/store.ts'
import { addHits, hitsOf, windowOf } from './shared/counting.ts'
import type { Count } from './shared/counting.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `expressRateLimitStore`. */
export interface ExpressRateLimitOptions {
  /** The namespace of the cache that has the counts of all limiters. Default: `'express-rate-limit'`. */
  namespace?: string | undefined
  /** Keeps the counts of several limiters apart: 1 to 63 bytes, different for each limiter. Default: `'rl'`. */
  prefix?: string | undefined
}

/** The answer of `increment` and `get`. */
export interface ClientHits {
  totalHits: number
  /** The end of the window. */
  resetTime: Date
}

/** The store that `expressRateLimitStore` returns. express-rate-limit calls its methods. */
export class ExpressRateLimitStore {
  /** Other processes change the same counts. */
  readonly localKeys = false
  readonly prefix: string
  readonly #space: CacheStore
  #window: Milliseconds = 60_000

  constructor(space: CacheStore, prefix: string) {
    this.#space = space
    this.prefix = prefix
  }

  /** Called by the host. */
  init({ windowMs }: { windowMs: Milliseconds }): void {
    this.#window = windowOf(windowMs)
  }

  async increment(key: string): Promise<ClientHits> {
    return clientHits(addHits(this.#space, key, 1, this.#window))
  }

  /** Takes a hit back, for `skipSuccessfulRequests` and `skipFailedRequests`. Outside a window it does nothing. */
  async decrement(key: string): Promise<void> {
    if (this.#space.has(key)) this.#space.incr(key, -1, { init: 1, min: 0, ttl: this.#window })
  }

  async get(key: string): Promise<ClientHits | undefined> {
    const count = hitsOf(this.#space, key)
    return count && clientHits(count)
  }

  async resetKey(key: string): Promise<void> {
    this.#space.delete(key)
  }

  /** Ends the windows of all keys of this prefix. */
  async resetAll(): Promise<void> {
    this.#space.clear()
  }
}

/**
 * A store for express-rate-limit.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `ExpressRateLimitOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * app.use(rateLimit({ windowMs: 60_000, limit: 100, store: expressRateLimitStore(cache) }))
 */
export function expressRateLimitStore(cache: CacheStore, options: ExpressRateLimitOptions = {}): ExpressRateLimitStore {
  const { namespace = 'express-rate-limit', prefix = 'rl' } = options
  return new ExpressRateLimitStore(adapterSpace('expressRateLimitStore', cache, namespace).namespace(prefix), prefix)
}

function clientHits({ hits, left }: Count): ClientHits {
  return { totalHits: hits, resetTime: new Date(Date.now() + left) }
}
