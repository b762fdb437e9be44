/**
 * cache-machine/socket-io: an adapter of Socket.IO 4 over messages of the cache: rooms, acknowledged broadcasts,
 * `fetchSockets`, `serverSideEmit` and the like reach the clients of all servers on the host. The primary of a cluster
 * needs no code.
 *
 * The adapter extends `ClusterAdapter` of socket.io-adapter. It publishes on one channel for each namespace of Socket.IO,
 * and answers on a channel of the server that asked. The number of servers is that of the live subscriptions, so a
 * server that was killed is not waited for. Connection state recovery is not supported.
 */
import type { CacheStore, MessageBus } from '../cache/store.ts'
import type { ChannelMessage } from '../messaging/messages.ts'
import { CacheError, invalid } from '../errors.ts'
import { reporter } from './shared/reports.ts'
import { checkStore } from './shared/space.ts'

/** What the adapter needs of the namespace that it uses. */
export type SocketIoSpace = MessageBus & Pick<CacheStore, 'get' | 'set'>

/** What the adapter needs of a cache. */
export interface SocketIoCache {
  namespace(name: string): SocketIoSpace
}

/** A class of socket.io-adapter, by its instances: its constructor is protected. */
export interface ClusterAdapterClass<A extends object> {
  readonly prototype: A
}

/** Options of `socketIoAdapter`. */
export interface SocketIoAdapterOptions<A extends object> {
  /**
   * The class of socket.io-adapter that the adapter extends. With `ClusterAdapterWithHeartbeat` the servers count each
   * other by heartbeats, as with other adapters, and a killed server is missed after some seconds.
   */
  ClusterAdapter: ClusterAdapterClass<A>
  /** The namespace of the cache. Servers with another one do not hear of each other. Default: 'socket.io'. */
  namespace?: string | undefined
  /** Options of the class, such as `heartbeatInterval`. */
  options?: object | undefined
  /**
   * Called when messages were lost or could not be sent. Default: a process warning, at most once a minute for each
   * cause.
   */
  onError?: ((error: Error) => void) | undefined
}

/** The members of the base class that the adapter calls. */
interface Base {
  readonly uid: string
  readonly nsp: { readonly name: string }
  onMessage(message: unknown, offset: string): void
  onResponse(response: unknown): void
  close(): unknown
  /** Every adapter has it; `ClusterAdapter` leaves it to the class that extends it. */
  serverCount(): Promise<number>
}

/** A message, or in its place the key of one that is too large for a channel. */
type Parcel = { readonly message: unknown } | { readonly key: string } | { readonly count: true }

/** Messages that wait for a busy event loop. A message of a channel is lost when more are waiting. */
const BUFFER = 100_000
/** How long a large message is kept for servers with a busy event loop, in milliseconds. */
const LARGE_TTL = 60_000

/**
 * An adapter for `new Server({ adapter })`. All servers on the host that open the cache by the same name are one
 * cluster. Large messages are stored in the cache for a minute, and evict other entries as any `set` does.
 *
 * Sticky sessions stay the task of the proxy: all requests of a client that uses HTTP long-polling must reach the same
 * server.
 *
 * @param cache A cache, or a namespace of one.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`; as `namespace` and `subscribe` of a cache.
 * @example
 * import { ClusterAdapter } from 'socket.io-adapter'
 * const io = new Server({ adapter: socketIoAdapter(open({ name: 'app' }), { ClusterAdapter }) })
 */
export function socketIoAdapter<A extends object>(
  cache: SocketIoCache,
  { ClusterAdapter, namespace = 'socket.io', options, onError = reporter() }: SocketIoAdapterOptions<A>,
  // oxlint-disable-next-line typescript/no-explicit-any -- A namespace of any version of Socket.IO.
): (nsp: any) => A {
  checkStore('socketIoAdapter', cache)
  if (typeof ClusterAdapter !== 'function') {
    throw invalid('socketIoAdapter needs the option ClusterAdapter, a class of socket.io-adapter', ClusterAdapter)
  }
  const Adapter = adapterOver(ClusterAdapter, cache.namespace(namespace), onError)
  // Not an arrow function: Socket.IO calls it with `new`.
  return function (nsp) {
    return new Adapter(nsp, options) as A
  }
}

function adapterOver(
  ClusterAdapter: ClusterAdapterClass<object>,
  space: SocketIoSpace,
  onError: (error: Error) => void,
): new (nsp: unknown, options: unknown) => object {
  const Parent = ClusterAdapter as unknown as new (nsp: unknown, options: unknown) => Base
  const countsItself = Object.hasOwn(Parent.prototype as object, 'serverCount')

  class Adapter extends Parent {
    readonly #all: string
    readonly #streams: AsyncIterableIterator<ChannelMessage<Parcel>>[]
    #large = 0

    constructor(nsp: unknown, options: unknown) {
      super(nsp, options)
      this.#all = `${this.nsp.name}#`
      // Subscribed at once: a server that starts hears everything that comes after.
      this.#streams = [
        this.#follow(this.#all, (message) => this.onMessage(message, '')),
        this.#follow(this.#channelOf(this.uid), (response) => this.onResponse(response)),
      ]
    }

    async doPublish(message: unknown): Promise<string> {
      this.#send(this.#all, message)
      return ''
    }

    async doPublishResponse(requester: string, response: unknown): Promise<void> {
      this.#send(this.#channelOf(requester), response)
    }

    /** The number of servers, this one included. */
    override async serverCount(): Promise<number> {
      if (countsItself) return super.serverCount()
      return Math.max(1, space.publish(this.#all, { count: true } satisfies Parcel))
    }

    override close(): unknown {
      const closed = super.close()
      for (const stream of this.#streams) void stream.return?.()
      return closed
    }

    #channelOf(uid: string): string {
      return `${this.#all}${uid}`
    }

    /** Throws what `publish` and `set` throw. */
    #send(channel: string, message: unknown): void {
      try {
        space.publish(channel, { message } satisfies Parcel)
      } catch (error) {
        if (!(error instanceof CacheError && error.code === 'ERR_VALUE_TOO_LARGE')) throw this.#report(error)
        const key = `${this.uid}:${++this.#large}`
        if (!space.set(key, message, LARGE_TTL)) throw this.#report(error)
        space.publish(channel, { key } satisfies Parcel)
      }
    }

    #report(error: unknown): unknown {
      onError(error as Error)
      return error
    }

    #follow(channel: string, each: (message: unknown) => void): AsyncIterableIterator<ChannelMessage<Parcel>> {
      const stream = space.subscribe<Parcel>(channel, { buffer: BUFFER, ref: false })
      void this.#pump(stream, each)
      return stream
    }

    async #pump(
      stream: AsyncIterableIterator<ChannelMessage<Parcel>>,
      each: (message: unknown) => void,
    ): Promise<void> {
      try {
        for await (const { message: parcel, lost } of stream) {
          if (lost > 0) onError(new Error(`${lost} messages of Socket.IO were lost: the event loop was too busy`))
          if ('message' in parcel) each(parcel.message)
          else if ('key' in parcel) this.#receive(parcel.key, each)
        }
      } catch (error) {
        onError(error as Error)
      }
    }

    #receive(key: string, each: (message: unknown) => void): void {
      const message = space.get(key)
      if (message === undefined) onError(new Error('a large message of Socket.IO was lost: it was evicted'))
      else each(message)
    }
  }
  return Adapter
}
