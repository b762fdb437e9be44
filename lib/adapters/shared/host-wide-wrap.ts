/**
 * `wrap` of cache-manager 7 with one load on the whole host, in place of one in each process.
 *
 * The rest of the manager is that of cache-manager itself: its function `createCache` is a parameter.
 */
import type { EventEmitter } from 'node:events'
import { accepted, checkOptions } from '../../arguments/option-names.ts'
import type { Duration } from '../../arguments/units.ts'
import type { CacheStore } from '../../cache/store.ts'
import { invalid } from '../../errors.ts'
import { KeyvLikeStore, keptFor, rawOf } from './keyv-like.ts'
import { adapterSpace } from './space.ts'
import { isTrouble } from './trouble.ts'

/** Options of a store for cache-manager. */
export interface ManagerStoreOptions {
  /** The namespace of the cache that has all entries of this store. Default: the name of the adapter. */
  namespace?: string | undefined
  /** Lifetime of values that are set without one, in milliseconds. Default: the `ttl` of the cache. */
  ttl?: number | undefined
}

/** Options of a manager. */
export interface ManagerOptions<M> extends ManagerStoreOptions {
  /** The function `createCache` of cache-manager 7. */
  createCache: (options: { stores: never[]; ttl?: number; refreshThreshold?: number; cacheId?: string }) => M
  /** If less of a lifetime is left, `wrap` loads in the background, in milliseconds. Default: never. */
  refreshThreshold?: number | undefined
  /** The identity of the manager, for users of `cacheId`. Default: a random text. */
  cacheId?: string | undefined
  /** Maximum time of a load of `wrap`; after that, another caller may load as well. Default: a day. */
  lease?: Duration | undefined
}

type ByValue = number | ((value: unknown) => number | undefined)

interface WrapOptions {
  ttl?: ByValue
  refreshThreshold?: ByValue
  raw?: boolean
}

const STORE = accepted<ManagerStoreOptions>('the store', { namespace: true, ttl: true })
const MANAGER = accepted<ManagerOptions<unknown>>('the manager', {
  namespace: true,
  ttl: true,
  createCache: true,
  refreshThreshold: true,
  cacheId: true,
  lease: true,
})

/** A store in a namespace of its own. `adapter`: the function that was called. */
export function storeIn(adapter: string, cache: CacheStore, options: ManagerStoreOptions, name: string): KeyvLikeStore {
  checkOptions(options, STORE)
  return new KeyvLikeStore(adapterSpace(adapter, cache, options.namespace ?? name), options.ttl)
}

/** A manager over such a store. */
export function managerOver<M>(adapter: string, cache: CacheStore, options: ManagerOptions<M>, name: string): M {
  checkOptions(options, MANAGER)
  const { createCache, namespace = name, ttl, refreshThreshold, cacheId, lease = '1d' } = options ?? {}
  if (typeof createCache !== 'function') {
    throw invalid(`${adapter} takes the option createCache, the function of cache-manager`, createCache)
  }
  const store = new KeyvLikeStore(adapterSpace(adapter, cache, namespace), ttl)
  const manager = createCache({
    stores: [store as never],
    ...(ttl !== undefined && { ttl }),
    ...(refreshThreshold !== undefined && { refreshThreshold }),
    ...(cacheId !== undefined && { cacheId }),
  })
  const wrapper = new Wrapper(store, emitterOf(manager), refreshThreshold, lease)
  return Object.assign(manager as object, { wrap: wrapper.wrap.bind(wrapper) }) as M
}

/** The emitter of a manager, which `off` returns. */
function emitterOf(manager: unknown): EventEmitter {
  return (manager as { off(event: string, listener: () => void): EventEmitter }).off('set', () => undefined)
}

class Wrapper {
  readonly #store: KeyvLikeStore
  readonly #events: EventEmitter
  readonly #threshold: number | undefined
  readonly #lease: Duration

  constructor(store: KeyvLikeStore, events: EventEmitter, threshold: number | undefined, lease: Duration) {
    this.#store = store
    this.#events = events
    this.#threshold = threshold
    this.#lease = lease
  }

  /** As `wrap` of cache-manager. */
  async wrap(key: string, run: () => unknown, given?: ByValue | WrapOptions, threshold?: ByValue): Promise<unknown> {
    const options = typeof given === 'object' && given !== null ? given : { ttl: given, refreshThreshold: threshold }
    const { space } = this.#store
    const value = await this.#load(key, run, options as WrapOptions)
    return (options as WrapOptions).raw === true && value !== undefined ? rawOf(space, key, value) : value
  }

  async #load(key: string, run: () => unknown, { ttl, refreshThreshold }: WrapOptions): Promise<unknown> {
    const { space } = this.#store
    let isLoading = false
    const load = async (): Promise<unknown> => {
      isLoading = true
      // A load beside a value is a refresh, and its caller has that value already.
      const before = space.get(key)
      try {
        const value = await run()
        this.#events.emit(before === undefined ? 'set' : 'refresh', { key, value })
        return value
      } catch (error) {
        if (before !== undefined) this.#events.emit('refresh', { key, value: before, error })
        throw error
      }
    }
    try {
      return await space.getOrSet(key, load, {
        ttl: (loaded) => lifetimeOf(loaded, ttl, this.#store.ttl),
        refreshAhead: this.#aheadOf(key, refreshThreshold),
        lease: this.#lease,
      })
    } catch (error) {
      // The host goes on without a cache.
      if (isLoading || !isTrouble(error)) throw error
      return run()
    }
  }

  /** When a value is loaded again in the background, for `refreshAhead`, where a number below 1 is a share. */
  #aheadOf(key: string, given: ByValue | undefined): number | undefined {
    let threshold: number | undefined = this.#threshold
    if (typeof given === 'function') {
      const value = this.#store.space.get(key)
      threshold = (value === undefined ? undefined : given(value)) ?? threshold
    } else if (given !== undefined) threshold = given
    return threshold !== undefined && threshold >= 1 ? threshold : undefined
  }
}

/** For `getOrSet`: undefined stands for the `ttl` of the cache, and less than 0 for a value that is not kept. */
function lifetimeOf(value: unknown, given: ByValue | undefined, byDefault: number | undefined): number | undefined {
  const ttl = (typeof given === 'function' ? given(value) : given) ?? byDefault
  return ttl === undefined ? undefined : keptFor(ttl)
}
