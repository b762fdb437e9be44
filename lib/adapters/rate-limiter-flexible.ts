/**
 * cache-machine/rate-limiter-flexible: a limiter of rate-limiter-flexible over a cache.
 *
 * It is a store limiter of the host, with all options and methods of one: blocks, penalties, rewards, even execution,
 * insurance, unions. Durations are exact to the millisecond. A call that fails rejects, or goes to `insuranceLimiter`.
 */
import type { CacheStore } from '../cache/store.ts'
import { CacheError, invalid } from '../errors.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { addHits, hitsOf } from './shared/counting.ts'
import type { Count } from './shared/counting.ts'
import { adapterSpace } from './shared/space.ts'

/** What the adapter takes of the package rate-limiter-flexible: pass the whole package. */
export interface FlexibleHost {
  /** A store limiter: its base class is the base of ours. */
  RateLimiterMemcache: abstract new (...args: never[]) => object
  RateLimiterRes: new (...args: never[]) => object
}

/** Options of `flexibleLimiter`: those of a store limiter of the host without `storeClient`, and these. */
export interface FlexibleLimiterOptions<Host extends FlexibleHost = FlexibleHost> {
  /** The package rate-limiter-flexible. */
  host: Host
  /** The namespace of the cache that has the counts. Default: `'rate-limiter-flexible'`. */
  namespace?: string | undefined
  /** How many points a key may consume in `duration`. */
  points: number
  /** Seconds, also with a fraction; 0: counts never expire. */
  duration: number
  [option: string]: unknown
}

/** The parts of the host's abstract class that a limiter uses. */
type Base = new (options: object) => { points: number }

/**
 * A limiter of rate-limiter-flexible. It has the type and the methods of the store limiters of the host.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `FlexibleLimiterOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache. The host throws errors for its own options.
 * @example
 * import * as host from 'rate-limiter-flexible'
 * const limiter = flexibleLimiter(cache, { host, points: 5, duration: 1 })
 * await limiter.consume(request.ip)
 */
export function flexibleLimiter<Host extends FlexibleHost>(
  cache: CacheStore,
  options: FlexibleLimiterOptions<Host>,
): InstanceType<Host['RateLimiterMemcache']> {
  const { host, namespace = 'rate-limiter-flexible', ...rest } = options
  const space = adapterSpace('flexibleLimiter', cache, namespace)
  // A namespace import of the CommonJS package has everything in `default` as well.
  const { RateLimiterMemcache, RateLimiterRes } = host ?? {}
  if (typeof RateLimiterMemcache !== 'function' || typeof RateLimiterRes !== 'function') {
    throw invalid('host must be the package rate-limiter-flexible', host)
  }
  const Limiter = limiterClass(Object.getPrototypeOf(RateLimiterMemcache) as Base, RateLimiterRes as Result, space)
  return new Limiter(rest) as InstanceType<Host['RateLimiterMemcache']>
}

type Result = new (remaining: number, before: Milliseconds, consumed: number, isFirst: boolean) => object

/** The methods that the host's abstract class asks for. */
function limiterClass(Abstract: Base, RateLimiterRes: Result, space: CacheStore): new (options: object) => object {
  return class RateLimiterCacheMachine extends Abstract {
    async _upsert(key: string, points: number, duration: Milliseconds, forceExpire = false): Promise<Count> {
      const window = duration > 0 ? duration : Infinity
      if (!forceExpire) return addHits(space, key, points, window)
      if (!space.set(key, points, window)) throw noRoom(key)
      return { hits: points, left: window }
    }

    async _get(key: string): Promise<Count | null> {
      return hitsOf(space, key) ?? null
    }

    async _delete(key: string): Promise<boolean> {
      return space.delete(key)
    }

    _getRateLimiterRes(_key: string, changed: number, { hits, left }: Count): object {
      const remaining = Math.max(this.points - hits, 0)
      return new RateLimiterRes(remaining, left === Infinity ? -1 : left, hits, hits === changed)
    }
  }
}

function noRoom(key: string): CacheError {
  return new CacheError('ERR_NO_SPACE', `there is no room for the count of ${JSON.stringify(key)}`)
}
