/**
 * cache-machine/fastify-rate-limit: the store of @fastify/rate-limit over a cache.
 *
 * It counts as the Redis store of the host does: each route with its own options has its own counts, and
 * `continueExceeding` and `exponentialBackoff` move the end of a window. A call that fails is an error of the request, or
 * lets it through with `skipOnError`.
 */
import { MAX_DURATION } from '../arguments/units.ts'
import type { Milliseconds } from '../arguments/units.ts'
import type { CacheStore } from '../cache/store.ts'
import { answer } from './shared/callbacks.ts'
import { addHits, hitsOf } from './shared/counting.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `fastifyRateLimitStore`. */
export interface FastifyRateLimitOptions {
  /** The namespace of the cache that has the counts. Default: `'fastify-rate-limit'`. */
  namespace?: string | undefined
}

/** What the store reads of the options of the plugin or of a route. */
export interface RouteLimits {
  continueExceeding?: boolean
  exponentialBackoff?: boolean
  routeInfo?: { method?: string | string[]; url?: string }
}

/** The answer of the store. `ttl`: milliseconds until the window ends. */
export interface CurrentHits {
  current: number
  ttl: Milliseconds
}

export type HitsCallback = (error: Error | null, result?: CurrentHits) => void

/** The store of a plugin, or of a route. @fastify/rate-limit calls its methods. */
export interface FastifyRateLimitStore {
  incr(key: string, callback: HitsCallback, timeWindow: Milliseconds, max: number): void
  /** As `incr`, without a hit. */
  read(key: string, callback: HitsCallback): void
  child(routeOptions: object): FastifyRateLimitStore
}

class Store implements FastifyRateLimitStore {
  readonly #space: CacheStore
  readonly #limits: RouteLimits
  readonly #prefix: string

  constructor(space: CacheStore, limits: RouteLimits, prefix = '') {
    this.#space = space
    this.#limits = limits
    this.#prefix = prefix
  }

  incr(key: string, callback: HitsCallback, timeWindow: Milliseconds, max: number): void {
    void answer(callback as never, 'now', () => this.#hit(this.#prefix + key, timeWindow, max))
  }

  read(key: string, callback: HitsCallback): void {
    void answer(callback as never, 'now', (): CurrentHits => {
      const { hits, left } = hitsOf(this.#space, this.#prefix + key) ?? { hits: 0, left: 0 }
      return { current: hits, ttl: left }
    })
  }

  child(routeOptions: RouteLimits): FastifyRateLimitStore {
    const { method = '', url = '' } = routeOptions.routeInfo ?? {}
    return new Store(this.#space, routeOptions, `${this.#prefix}${String(method)}${url}-`)
  }

  #hit(key: string, timeWindow: Milliseconds, max: number): CurrentHits {
    // Without a window every hit is the first one.
    if (timeWindow <= 0) return { current: 1, ttl: 0 }
    const { hits, left } = addHits(this.#space, key, 1, Math.min(timeWindow, MAX_DURATION))
    const { continueExceeding, exponentialBackoff } = this.#limits
    if (hits <= max || hits === 1 || !(continueExceeding || exponentialBackoff)) return { current: hits, ttl: left }
    const longer = continueExceeding ? timeWindow : timeWindow * 2 ** (hits - max - 1)
    this.#space.touch(key, Math.min(longer, MAX_DURATION))
    return { current: hits, ttl: Math.min(longer, Number.MAX_SAFE_INTEGER) }
  }
}

/**
 * The class of a store for @fastify/rate-limit, which makes one for the plugin and one for each route with options.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `FastifyRateLimitOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * await app.register(rateLimit, { max: 100, timeWindow: '1 minute', store: fastifyRateLimitStore(cache) })
 */
export function fastifyRateLimitStore(
  cache: CacheStore,
  { namespace = 'fastify-rate-limit' }: FastifyRateLimitOptions = {},
): new (options: object) => FastifyRateLimitStore {
  const space = adapterSpace('fastifyRateLimitStore', cache, namespace)
  return class FastifyCacheMachineStore extends Store {
    constructor(options: object) {
      super(space, options)
    }
  }
}
