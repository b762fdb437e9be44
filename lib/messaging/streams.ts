/**
 * Change streams and message streams: async iterators over queues that the native side keeps.
 *
 * The native side bounds each queue, counts what it drops, and reports once that a queue has items. A stream takes a
 * few items at a time. It ends exactly once: by `return`, an abort, or the close of its cache.
 *
 * Caution: the number of a stream is valid for one native handle only, so all streams start again when the segment is
 * opened again, and report that items may be lost.
 */
import { accepted, checkOptions } from '../arguments/option-names.ts'
import type { AcceptedOptions } from '../arguments/option-names.ts'
import { checkSignal } from '../arguments/options.ts'
import { invalid } from '../errors.ts'
import type { CacheError } from '../errors.ts'
import { native } from '../engine/engine.ts'
import type { NativeStreamItem } from '../native/addon.ts'
import type { Dependent, NativeCalls, Notified } from '../segment/calls.ts'
import { KeepAlive, onAbort } from '../waiting/timers.ts'

/** Options of `watch` and `subscribe`. */
export interface StreamOptions {
  /** Ends the iterator: `next` rejects with the reason of the signal. */
  signal?: AbortSignal | undefined
  /**
   * Maximum number of items in the queue, 1 to 1,000,000. When it is full, the oldest are dropped and counted. Default:
   * 1,000.
   */
  buffer?: number | undefined
  /** Keep the process alive while a call of `next` is pending. Default: true. */
  ref?: boolean | undefined
}

/** @deprecated Use `StreamOptions`. */
export type FeedOptions = StreamOptions

/** What a stream reads, and how. */
export interface StreamKind<T> {
  /** Starts the stream on the open native handle; returns its number there. */
  start(buffer: number): number
  /** The item as users see it. Undefined: it cannot be read, and counts as lost. */
  read(item: NativeStreamItem): T | undefined
  /** The item that stands for those that were lost with the segment. Undefined: the next item counts them. */
  readonly afterLoss: NativeStreamItem | undefined
}

/** `StreamOptions`, checked. */
export interface ResolvedStreamOptions {
  readonly signal: AbortSignal | undefined
  readonly buffer: number
  readonly ref: boolean
}

const STREAM_NAMES = { signal: true, buffer: true, ref: true } as const
export const WATCH: AcceptedOptions = accepted<StreamOptions>('watch', STREAM_NAMES)
export const SUBSCRIBE: AcceptedOptions = accepted<StreamOptions>('subscribe', STREAM_NAMES)

const DEFAULT_BUFFER = 1000
const MAX_BUFFER = 1_000_000
/** Maximum number of items of one native call. */
const MAX_TAKEN = 256

/** Throws `ERR_INVALID_ARGUMENT`, and the reason of a signal that is aborted already. */
export function resolveStreamOptions(options: StreamOptions, expected: AcceptedOptions): ResolvedStreamOptions {
  checkOptions(options, expected)
  const { buffer = DEFAULT_BUFFER, ref = true } = options
  if (typeof ref !== 'boolean') throw invalid('ref must be true or false', ref)
  if (!Number.isInteger(buffer) || buffer < 1 || buffer > MAX_BUFFER) {
    throw invalid(`buffer must be a whole number from 1 to ${MAX_BUFFER}`, buffer)
  }
  const signal = checkSignal(options.signal)
  signal?.throwIfAborted()
  return { signal, buffer, ref }
}

/** The open streams of one cache. */
export class Streams implements Dependent, Notified {
  readonly #calls: NativeCalls
  readonly #open = new Map<number, OpenStream<unknown>>()
  readonly #keepAlive = new KeepAlive()

  constructor(calls: NativeCalls) {
    this.#calls = calls
  }

  /** Starts a stream. Throws what `kind.start` throws. */
  begin<T>(kind: StreamKind<T>, options: ResolvedStreamOptions): AsyncIterableIterator<T> {
    return new OpenStream<T>(this, kind, options)
  }

  /** These streams have items. */
  notify(ids: readonly number[]): void {
    for (const id of ids) this.#open.get(id)?.continue()
  }

  get waiting(): number {
    return this.#open.size
  }

  lose(): void {}

  restart(): void {
    const streams = [...this.#open.values()]
    this.#open.clear()
    for (const stream of streams) stream.restart()
  }

  reject(error: unknown): void {
    for (const stream of this.#open.values()) stream.fail(error)
  }

  /** Streams end without an error. */
  close(_error: CacheError): void {
    for (const stream of this.#open.values()) stream.finish()
  }

  /** For a stream: `id` is its number from now on. */
  enter(id: number, stream: OpenStream<unknown>): void {
    this.#open.set(id, stream)
  }

  /** For a stream: `id` is no longer its number. */
  leave(id: number): void {
    this.#open.delete(id)
    this.#calls.cleanUp((handle) => native.streamEnd(handle, id))
  }

  /** For a stream with `ref`: whether calls of `next` are pending from now on. */
  keepAlive(isPending: boolean): void {
    if (isPending) this.#keepAlive.ref()
    else this.#keepAlive.unref()
  }

  /**
   * Takes items of the open handle only: the number means nothing in another segment, so the call is never repeated
   * there.
   */
  take(id: number, limit: number): NativeStreamItem[] {
    return native.streamTake(this.#calls.handleId, id, limit)
  }
}

interface Pending<T> {
  resolve(result: IteratorResult<T, undefined>): void
  reject(reason: unknown): void
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined }

/** One change stream or message stream. */
class OpenStream<T> implements AsyncIterableIterator<T> {
  readonly #streams: Streams
  readonly #kind: StreamKind<T>
  readonly #options: ResolvedStreamOptions
  /** The number on the native handle; 0: none. */
  #id = 0
  #taken: NativeStreamItem[] = []
  /** Position of the next item in `#taken`. */
  #at = 0
  /** Items that this side lost before the next item. */
  #lost = 0
  readonly #pending: Pending<T>[] = []
  /** Whether it keeps the process alive. */
  #isRef = false
  #ended = false
  #stopSignal: () => void = () => undefined
  /** Why the next call of `next` rejects. */
  #failure: { readonly reason: unknown } | undefined

  constructor(streams: Streams, kind: StreamKind<T>, options: ResolvedStreamOptions) {
    this.#streams = streams
    this.#kind = kind
    this.#options = options
    this.#start()
    if (options.signal !== undefined) this.#stopSignal = onAbort(options.signal, this.#abort)
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

  /** Passes the available items to the pending `next` calls. */
  continue(): void {
    this.#passOn()
    this.#updateRef()
  }

  #passOn(): void {
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

  /** Starts again on the present native handle. At least one item is lost. */
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

  /** Ends the stream; pending `next` calls resolve as done. */
  finish(): void {
    this.#end()
    for (const pending of this.#pending.splice(0)) pending.resolve(DONE)
    this.#updateRef()
  }

  /** Ends the stream; the first pending `next` call, or else the next one, rejects with the reason. */
  fail(reason: unknown): void {
    if (this.#ended) return
    const first = this.#pending.shift()
    if (first === undefined) this.#failure = { reason }
    else first.reject(reason)
    this.finish()
  }

  readonly #abort = (): void => this.fail(this.#options.signal?.reason)

  #start(): void {
    const id = this.#kind.start(this.#options.buffer)
    // The start may have opened the segment again, which has started this stream there already.
    if (this.#id !== 0) this.#streams.leave(this.#id)
    this.#id = id
    this.#streams.enter(id, this as OpenStream<unknown>)
  }

  #shift(): T | undefined {
    for (;;) {
      const item = this.#taken[this.#at]
      if (item === undefined) {
        this.#at = 0
        this.#taken = this.#streams.take(this.#id, Math.min(MAX_TAKEN, this.#options.buffer))
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
    this.#stopSignal()
    if (this.#id !== 0) this.#streams.leave(this.#id)
  }

  #updateRef(): void {
    const isPending = this.#pending.length > 0
    if (!this.#options.ref || isPending === this.#isRef) return
    this.#isRef = isPending
    this.#streams.keepAlive(isPending)
  }
}
