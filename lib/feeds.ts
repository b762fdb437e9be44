/**
 * Watches and subscriptions: async iterators over what the native side keeps for each of them.
 *
 * The native side holds the queue, which is bounded, counts what it drops, and says once that there is something. An
 * iterator takes a few items at a time. It ends exactly once: by `return`, an abort, or the close of its cache. The thing to
 * get wrong: a feed's number belongs to one native handle, so all feeds begin again when the cache opens its segment anew,
 * and are told that something may be lost.
 */
import { invalid } from './errors.ts'
import { What } from './native.ts'
import type { NativeFeedItem } from './native.ts'
import { checkTag } from './options.ts'
import { givenKey } from './values.ts'
import type { Key } from './values.ts'

/** What to watch. All that is given must hold; nothing given: everything in the namespace. */
export interface WatchFilter {
  /** This key alone. */
  key?: Key | undefined
  /** Keys that start with it. */
  prefix?: Key | undefined
  /** Entries that carry at least one of these tags; 128 at most. */
  tags?: readonly string[] | undefined
}

/** Options of `watch` and `subscribe`. */
export interface FeedOptions {
  /** Ends the iterator: `next` rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Most items that wait to be taken, 1 to 1,000,000; when there are more, the oldest are dropped and counted. Default: 1,000. */
  buffer?: number | undefined
  /** Keep the process alive until the iterator ends. Default: false. */
  ref?: boolean | undefined
}

/** Something that became of an entry, or of all of a namespace. Values are not in it: `get` has the newest. */
export interface Change {
  /**
   * - `set`: a value was written, by whatever call.
   * - `delete`: a user deleted or took it. `evict`: it made room. `expire`: its time was up, told when it is swept.
   * - `clear`: all entries of the namespace are gone; several clears at once may come as one.
   * - `invalidate`: tags were invalidated; or, without `tags`, anything may have changed.
   */
  readonly type: 'set' | 'delete' | 'evict' | 'expire' | 'clear' | 'invalidate'
  /** The entry's key; undefined for `clear` and `invalidate`. */
  readonly key: Key | undefined
  /** Version of the entry that was written or is gone; 0 for `clear` and `invalidate`. */
  readonly version: number
  /** Those of the tags watched that the entry carries or that were invalidated; undefined where no tags are watched. */
  readonly tags: readonly string[] | undefined
  /**
   * How many changes before this one did not come, usually 0. Exact where this consumer was too slow; where the process was,
   * or another died, it counts all changes that the filter might have let through.
   */
  readonly lost: number
}

/** A message of a channel. */
export interface ChannelMessage<M = unknown> {
  /** The channel, which tells them apart where a prefix is subscribed to. */
  readonly channel: string
  /** What was published, a copy of one's own. */
  readonly message: M
  /** How many before this one did not come, usually 0; as `Change.lost`. */
  readonly lost: number
}

/** What feeds need from their cache. */
export interface FeedSource {
  take(id: number, most: number): NativeFeedItem[]
  /** Never throws. */
  end(id: number): void
}

/** How a feed begins, and what its items are. */
export interface FeedKind<T> {
  /** Begins on the present native handle; returns the number there. */
  start(): number
  /** Undefined: nobody can read it, and it counts as lost. */
  read(item: NativeFeedItem): T | undefined
  /** Takes the place of what was lost with the segment; undefined: the next item tells. */
  readonly afterLoss: NativeFeedItem | undefined
}

/** `FeedOptions`, checked. */
export interface ResolvedFeedOptions {
  readonly signal: AbortSignal | undefined
  readonly buffer: number
  readonly ref: boolean
}

const DEFAULT_BUFFER = 1000
const MAX_BUFFER = 1_000_000
/** Items taken at a time. */
const AT_ONCE = 256
/** The longest interval that a timer takes. */
const MAX_TIMER = 2 ** 31 - 1

/** Throws `ERR_INVALID_ARGUMENT`; the reason of a signal that is aborted already. */
export function resolveFeedOptions(options: FeedOptions): ResolvedFeedOptions {
  if (typeof options !== 'object' || options === null) throw invalid('options must be an object', options)
  const { signal, buffer = DEFAULT_BUFFER, ref = false } = options
  if (!Number.isInteger(buffer) || buffer < 1 || buffer > MAX_BUFFER) {
    throw invalid(`buffer must be a whole number from 1 to ${MAX_BUFFER}`, buffer)
  }
  if (signal !== undefined && typeof signal?.addEventListener !== 'function') {
    throw invalid('signal must be an AbortSignal', signal)
  }
  signal?.throwIfAborted()
  return { signal, buffer, ref }
}

/** What is subscribed to: a channel, or all channels that start with a prefix. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveChannel(channel: unknown): { readonly name: string; readonly isPrefix: boolean } {
  if (typeof channel === 'object' && channel !== null && 'prefix' in channel) {
    return { name: checkChannel(channel.prefix), isPrefix: true }
  }
  return { name: checkChannel(channel), isPrefix: false }
}

/** Throws `ERR_INVALID_ARGUMENT` for what can be no channel. */
export function checkChannel(channel: unknown): string {
  if (typeof channel === 'string' && channel !== '' && channel.isWellFormed()) return channel
  throw invalid('a channel must be a string of at least one character, without lone surrogates', channel)
}

/** Tags to watch. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveWatchedTags(tags: unknown): readonly string[] {
  if (tags === undefined) return []
  if (!Array.isArray(tags) || tags.length === 0 || tags.length > 128) {
    throw invalid('tags must be an array of 1 to 128 strings', tags)
  }
  return tags.map(checkTag)
}

const TYPES: Readonly<Record<number, Change['type']>> = {
  [What.Set]: 'set',
  [What.Delete]: 'delete',
  [What.Evict]: 'evict',
  [What.Expire]: 'expire',
  [What.Clear]: 'clear',
  [What.Invalidate]: 'invalidate',
}

/** A change as users see it. */
export function toChange(item: NativeFeedItem, watched: readonly string[]): Change | undefined {
  const type = TYPES[item.what]
  if (type === undefined) return undefined
  const all = type === 'clear' || type === 'invalidate'
  const tags = item.tags.map((position) => watched[position] as string)
  return {
    type,
    key: all || item.key === undefined ? undefined : givenKey(item.key),
    version: item.version,
    tags: watched.length === 0 || (all && tags.length === 0) ? undefined : tags,
    lost: item.lost,
  }
}

/** Anything may have changed. */
export const ANYTHING: NativeFeedItem = { what: What.Invalidate, version: 0, tags: [], kind: 0, lost: 0 }

/** The open feeds of one cache. */
export class Feeds {
  readonly #source: FeedSource
  readonly #open = new Map<number, Feed<unknown>>()
  /** Feeds that keep the process alive, and the timer by which they do: the notifier itself never does. */
  #referenced = 0
  #keepAlive: NodeJS.Timeout | undefined

  constructor(source: FeedSource) {
    this.#source = source
  }

  /** Begins a feed. Throws what `kind.start` throws. */
  begin<T>(kind: FeedKind<T>, options: ResolvedFeedOptions): AsyncIterableIterator<T> {
    const feed = new Feed<T>(this, kind, options)
    if (options.ref && this.#referenced++ === 0) this.#keepAlive = setInterval(() => undefined, MAX_TIMER)
    return feed
  }

  /** There is something for these. */
  notify(ids: readonly number[]): void {
    for (const id of ids) this.#open.get(id)?.continue()
  }

  /** All feeds begin again, on a new native handle. */
  restart(): void {
    const feeds = [...this.#open.values()]
    this.#open.clear()
    for (const feed of feeds) feed.restart()
  }

  /** Ends all feeds, without a word. */
  close(): void {
    for (const feed of this.#open.values()) feed.finish()
  }

  /** All feeds reject. */
  fail(reason: unknown): void {
    for (const feed of this.#open.values()) feed.fail(reason)
  }

  get size(): number {
    return this.#open.size
  }

  /** Of a feed: it has this number now. */
  enter(id: number, feed: Feed<unknown>): void {
    this.#open.set(id, feed)
  }

  /** Of a feed: this number is no longer its own. */
  leave(id: number): void {
    this.#open.delete(id)
    this.#source.end(id)
  }

  /** Of a feed that ended. */
  unref(): void {
    if (--this.#referenced === 0) clearInterval(this.#keepAlive)
  }

  take(id: number, most: number): NativeFeedItem[] {
    return this.#source.take(id, most)
  }
}

interface Pending<T> {
  resolve(result: IteratorResult<T, undefined>): void
  reject(reason: unknown): void
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** One watch or subscription. */
class Feed<T> implements AsyncIterableIterator<T> {
  readonly #feeds: Feeds
  readonly #kind: FeedKind<T>
  readonly #options: ResolvedFeedOptions
  /** The native side's number; 0 while there is none. */
  #id = 0
  #taken: NativeFeedItem[] = []
  #at = 0
  /** Lost before the next item, on this side. */
  #lost = 0
  readonly #pending: Pending<T>[] = []
  #ended = false
  /** Why the next `next` rejects. */
  #failure: { readonly reason: unknown } | undefined

  constructor(feeds: Feeds, kind: FeedKind<T>, options: ResolvedFeedOptions) {
    this.#feeds = feeds
    this.#kind = kind
    this.#options = options
    this.#start()
    options.signal?.addEventListener('abort', this.#abort)
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#failure !== undefined) {
      const { reason } = this.#failure
      this.#failure = undefined
      return Promise.reject(reason)
    }
    if (this.#ended) return Promise.resolve(DONE)
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      this.continue()
    })
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#failure = undefined
    this.finish()
    return Promise.resolve(DONE)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Gives those who wait what there is. */
  continue(): void {
    while (this.#pending.length > 0) {
      let value: T | undefined
      try {
        value = this.#shift()
      } catch (error) {
        return this.fail(error)
      }
      if (value === undefined) return
      this.#pending.shift()?.resolve({ done: false, value })
    }
  }

  /** Begins again where the cache is now; what came between is lost, one change at least. */
  restart(): void {
    this.#id = 0
    this.#lost++
    if (this.#kind.afterLoss !== undefined) {
      this.#taken.push({ ...this.#kind.afterLoss, lost: this.#lost })
      this.#lost = 0
    }
    try {
      this.#start()
    } catch (error) {
      return this.fail(error)
    }
    this.continue()
  }

  /** Ends it; whoever waits is told that it is over. */
  finish(): void {
    this.#end()
    for (const pending of this.#pending.splice(0)) pending.resolve(DONE)
  }

  /** Ends it; the first who waits, or asks, is told why. */
  fail(reason: unknown): void {
    if (this.#ended) return
    const first = this.#pending.shift()
    if (first === undefined) this.#failure = { reason }
    else first.reject(reason)
    this.finish()
  }

  readonly #abort = (): void => this.fail(this.#options.signal?.reason)

  #start(): void {
    const id = this.#kind.start()
    // The cache may have opened its segment anew on the way, and this feed with it.
    if (this.#id !== 0) this.#feeds.leave(this.#id)
    this.#id = id
    this.#feeds.enter(id, this as Feed<unknown>)
  }

  #shift(): T | undefined {
    for (;;) {
      const item = this.#taken[this.#at]
      if (item === undefined) {
        this.#at = 0
        this.#taken = this.#feeds.take(this.#id, Math.min(AT_ONCE, this.#options.buffer))
        if (this.#taken.length === 0) return undefined
        continue
      }
      this.#at++
      const value = this.#kind.read({ ...item, lost: item.lost + this.#lost })
      this.#lost = value === undefined ? this.#lost + item.lost + 1 : 0
      if (value !== undefined) return value
    }
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#taken = []
    this.#options.signal?.removeEventListener('abort', this.#abort)
    if (this.#id !== 0) this.#feeds.leave(this.#id)
    if (this.#options.ref) this.#feeds.unref()
  }
}
