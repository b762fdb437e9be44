/**
 * cache-machine/bentocache: a cache as the second layer of bentocache 1, and as its bus.
 *
 * Lifetimes are milliseconds. bentocache passes encoded texts, which are stored as they are. Reads of a segment in
 * trouble are misses; writes reject.
 */
import type { CacheStore, MessageBus } from '../cache/store.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { storeFor } from './shared/lifetimes.ts'
import { adapterSpace } from './shared/space.ts'

/** Options of `bentoDriver`. */
export interface BentoDriverOptions {
  /** The namespace of the cache that has all entries. Default: `bentocache`. */
  namespace?: string | undefined
  /** The begin of all keys. Default: `bentocache`, which bentocache passes. */
  prefix?: string | undefined
}

/** The driver that bentocache makes by `bentoDriver`. */
export class BentoDriver {
  readonly type = 'l2' as const
  readonly #space: CacheStore
  readonly #prefix: string

  constructor(space: CacheStore, prefix = '') {
    this.#space = space
    this.#prefix = prefix === '' || prefix.endsWith(':') ? prefix : `${prefix}:`
  }

  /** A driver for the keys of a namespace of bentocache. */
  namespace(namespace: string): BentoDriver {
    return new BentoDriver(this.#space, this.#prefix + namespace)
  }

  async get(key: string): Promise<string | undefined> {
    return this.#space.get(this.#prefix + key) as string | undefined
  }

  /** The value, which is deleted. Of several callers in all processes, one gets it. */
  async pull(key: string): Promise<string | undefined> {
    const value = await this.get(key)
    return value !== undefined && this.#space.delete(this.#prefix + key) ? value : undefined
  }

  /** @param ttl 0 and less delete the entry. Default: the `ttl` of the cache, else no expiry. */
  async set(key: string, value: string, ttl?: Milliseconds): Promise<boolean> {
    return storeFor(this.#space, this.#prefix + key, value, ttl ?? undefined)
  }

  async delete(key: string): Promise<boolean> {
    return this.#space.delete(this.#prefix + key)
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    this.#space.deleteMany(keys.map((key) => this.#prefix + key))
    return true
  }

  /** Deletes the entries of this namespace and of those inside it. */
  async clear(): Promise<void> {
    if (this.#prefix === '') this.#space.clear()
    else for await (const key of this.#space.keys({ prefix: this.#prefix })) this.#space.delete(key)
  }

  /** Does nothing: the cache belongs to the application, which closes it. */
  async disconnect(): Promise<void> {}
}

/** The transport that bentocache makes by `bentoBus`. */
export class BentoBus {
  readonly #bus: MessageBus
  readonly #subscriptions = new Map<string, AsyncIterator<unknown>>()
  #id = ''

  constructor(bus: MessageBus) {
    this.#bus = bus
  }

  setId(id: string): this {
    this.#id = id
    return this
  }

  /** Does nothing: there is no connection that could be lost. */
  onReconnect(): void {}

  async publish(channel: string, payload: unknown): Promise<void> {
    this.#bus.publish(channel, { from: this.#id, payload })
  }

  /** Does not keep the process alive. */
  // oxlint-disable-next-line typescript/no-explicit-any -- The host decides what a message is.
  async subscribe(channel: string, handler: (payload: any) => void): Promise<void> {
    const messages = this.#bus.subscribe<{ from: string; payload: unknown }>(channel, { ref: false })
    this.#subscriptions.set(channel, messages)
    void this.#follow(messages, handler)
  }

  async unsubscribe(channel: string): Promise<void> {
    await this.#subscriptions.get(channel)?.return?.()
    this.#subscriptions.delete(channel)
  }

  async disconnect(): Promise<void> {
    await Promise.all([...this.#subscriptions.keys()].map((channel) => this.unsubscribe(channel)))
  }

  async #follow(
    messages: AsyncIterable<{ message: { from: string; payload: unknown } }>,
    handler: (payload: unknown) => void,
  ): Promise<void> {
    try {
      for await (const { message } of messages) if (message.from !== this.#id) handler(message.payload)
    } catch {
      // The cache was closed.
    }
  }
}

/**
 * The second layer of a store of bentocache.
 *
 * @param cache A cache, or a namespace of one.
 * @param options See `BentoDriverOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` of a cache.
 * @example
 * const store = bentostore().useL2Layer(bentoDriver(open({ name: 'app' })))
 */
export function bentoDriver(
  cache: CacheStore,
  options: BentoDriverOptions = {},
): { options: BentoDriverOptions; factory(config?: { prefix?: string }): BentoDriver } {
  const space = adapterSpace('bentoDriver', cache, options.namespace ?? 'bentocache')
  return { options, factory: (config = {}) => new BentoDriver(space, options.prefix ?? config.prefix) }
}

/**
 * The bus of a store of bentocache, for stores with a first layer.
 *
 * @example
 * const store = bentostore().useL1Layer(memoryDriver()).useL2Layer(bentoDriver(cache)).useBus(bentoBus(cache))
 */
export function bentoBus(bus: MessageBus): { options: object; factory(): BentoBus } {
  return { options: {}, factory: () => new BentoBus(bus) }
}
