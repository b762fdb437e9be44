/**
 * cache-machine/nest-throttler: the storage of @nestjs/throttler over a cache.
 *
 * The first hit of a key begins its window. The hit that exceeds the limit blocks the key: its count then lives for
 * `blockDuration`, and with it the block ends and the next window begins. A call that fails is an error of the request.
 */
import type { Milliseconds } from '../arguments/units.ts'
import type { CacheStore } from '../cache/store.ts'
import { addHits, windowOf } from './shared/counting.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `nestThrottlerStorage`. */
export interface NestThrottlerOptions {
  /** The namespace of the cache that has the counts. Default: `'nest-throttler'`. */
  namespace?: string | undefined
}

/** The answer of the storage. Times are whole seconds, rounded up, as the host writes them into headers. */
export interface ThrottledHits {
  totalHits: number
  timeToExpire: number
  isBlocked: boolean
  timeToBlockExpire: number
}

/** The storage that `nestThrottlerStorage` returns. @nestjs/throttler calls its method. */
export class NestThrottlerStorage {
  readonly #space: CacheStore

  constructor(space: CacheStore) {
    this.#space = space
  }

  /** Times are milliseconds. A `blockDuration` of 0 blocks until the window ends. */
  async increment(
    key: string,
    ttl: Milliseconds,
    limit: number,
    blockDuration: Milliseconds,
    throttlerName: string,
  ): Promise<ThrottledHits> {
    const entry = `${throttlerName}:${key}`
    const { hits, left } = addHits(this.#space, entry, 1, windowOf(ttl))
    const isBlocked = hits > limit
    // One hit of the window, in one process, is the one that exceeds the limit.
    const begins = hits === limit + 1 && blockDuration > 0
    if (begins) this.#space.touch(entry, windowOf(blockDuration))
    const time = Math.ceil((begins ? blockDuration : left) / 1000)
    return { totalHits: hits, timeToExpire: time, isBlocked, timeToBlockExpire: isBlocked ? time : 0 }
  }
}

/**
 * A storage for @nestjs/throttler.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `NestThrottlerOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * ThrottlerModule.forRoot({ throttlers: [{ ttl: 60_000, limit: 100 }], storage: nestThrottlerStorage(cache) })
 */
export function nestThrottlerStorage(
  cache: CacheStore,
  { namespace = 'nest-throttler' }: NestThrottlerOptions = {},
): NestThrottlerStorage {
  return new NestThrottlerStorage(adapterSpace('nestThrottlerStorage', cache, namespace))
}
