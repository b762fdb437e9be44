/**
 * Queues of work over all processes and threads that have the segment open: each item is taken by one caller at a time
 * until it is acknowledged.
 *
 * Caution: tokens are valid for one native handle only. When the segment is opened again, it has other queues.
 */
import { givenKey, wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { resolveTtl } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import { decodeStructured, encodeStructured } from '../codec/structured.ts'
import { CacheError, fromNative, invalid, isDetached, showKey } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { MAX_KEY, PermitState } from '../native/layout.ts'
import type { NativeTurn } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { NativeCalls } from '../segment/calls.ts'
import type { RecordWatches } from '../waiting/record-watches.ts'
import { TicketWaits, quietly } from '../waiting/ticket-waits.ts'
import type { TicketCalls } from '../waiting/ticket-waits.ts'
import { WAIT_NAMES, resolveAcquire } from './locks.ts'
import type { AcquireOptions } from './locks.ts'

/** An item takes up to 48 bytes of a record that is rewritten with each change. */
const MAX_CAPACITY = 1000
const MAX_ATTEMPTS = 1_000_000
const VISIBILITY: Milliseconds = 300_000
const ATTEMPTS = 5
/** The number of an item is behind the name in the key of its value. */
const MAX_NAME = MAX_KEY - 8

/** Options of `queue`. All callers should pass the same. */
export interface QueueOptions {
  /** Maximum number of items, those in hand and dead letters included: 1 to 1,000. Default: 1,000. */
  capacity?: number | undefined
  /**
   * An item that is not acknowledged within this time returns to the queue, although its taker lives; `extend` renews
   * the time. Infinity: only a release or the end of its taker returns it. Default: 5 minutes.
   */
  visibility?: Duration | undefined
  /**
   * An item that was taken so often and not acknowledged becomes a dead letter, so that an item that ends each of its
   * workers does not go round for ever. 1 to 1,000,000, or Infinity. Default: 5.
   */
  attempts?: number | undefined
}

/** Numbers of a queue, over all processes. */
export interface QueueCounts {
  /** Items that wait for a taker. */
  readonly ready: number
  /** Items in hand. Those of dead processes count as ready. */
  readonly taken: number
  /** Dead letters. */
  readonly dead: number
  /** Callers that wait for an item. */
  readonly waiting: number
}

/**
 * An item in hand. `await using` releases it at the end of its block unless it was acknowledged.
 *
 * It returns to the queue by `release`, after its `visibility`, with the death of its process or worker thread, and with
 * `close` of the cache.
 */
export interface QueueItem<T = unknown> extends Disposable, AsyncDisposable {
  /** The number of the item, which grows with each push to this queue. */
  readonly id: number
  readonly value: T
  /** How often it was taken, this time included. Above 1 its work may be done already, in part or in whole. */
  readonly attempts: number
  /** When it returns to the queue unless it is acknowledged, in epoch milliseconds; undefined: never by time. */
  readonly expiresAt: number | undefined
  /**
   * Ends the item: its work is done. False: it was no longer in hand, so that another caller may have it.
   *
   * @throws {CacheError} `ERR_BUSY`, which changes nothing.
   */
  ack(): boolean
  /**
   * Puts the item back to its place in the order, for the next taker. False: it was no longer in hand.
   *
   * @throws {CacheError} `ERR_BUSY`, which changes nothing.
   */
  release(): boolean
  /**
   * Lets the `visibility` begin anew, or sets another one from now on. False: it is no longer in hand.
   *
   * @throws {CacheError} `ERR_INVALID_TTL`; `ERR_BUSY`, which changes nothing.
   */
  extend(visibility?: Duration): boolean
}

/** An item that was taken as often as it may be. It stays until it is discarded or all are revived. */
export interface DeadLetter<T = unknown> {
  readonly id: number
  readonly value: T
  /** Ends it. False: it had ended, or was revived and is done. */
  discard(): boolean
}

/**
 * A queue of work that all processes and threads share: first in, first out. Each item is in the hand of one taker at a
 * time, and is delivered at least once: again only after the death of a taker, after `visibility`, or after `release`.
 *
 * Items are no entries: no eviction, expiry or `clear` of the cache removes them.
 */
export interface Queue<T = unknown> extends AsyncIterable<QueueItem<T>> {
  readonly name: Key
  readonly capacity: number
  /**
   * Adds an item at the end. When it returns, the item survives this process. Returns the item's number.
   *
   * @throws {CacheError} `ERR_NO_SPACE` if the queue has `capacity` items or the segment no room; `ERR_VALUE_TOO_LARGE`;
   * the error of `set` for a value that cannot be stored; `ERR_BUSY`. None of them leaves an item.
   * @example
   * cache.queue('mails').push({ to: 'ada@example.com', template: 'welcome' })
   */
  push(value: T): number
  /**
   * The same, and undefined if the queue has `capacity` items.
   *
   * @example
   * if (queue.tryPush(job) === undefined) response.writeHead(503)
   */
  tryPush(value: T): number | undefined
  /**
   * The first item, as soon as there is one. Waiting callers get items in the order of their calls.
   *
   * @param options `timeout`: default none; `signal`; `ref`: keep the process alive while waiting (default true).
   * @throws {CacheError} Rejects with `ERR_TIMEOUT`; with the reason of the signal; with `ERR_CLOSED` when the cache is
   * closed; with `ERR_NO_SPACE` if too many wait; with `ERR_BUSY`, `ERR_INVALID_ARGUMENT`.
   * @example
   * const item = await queue.take()
   * await send(item.value)
   * item.ack()
   */
  take(options?: AcquireOptions): Promise<QueueItem<T>>
  /**
   * The first item, or undefined if there is none.
   *
   * @throws {CacheError} `ERR_NO_SPACE`, `ERR_BUSY`.
   */
  tryTake(): QueueItem<T> | undefined
  /** Numbers of items and waiting callers. Takes no lock. */
  counts(): QueueCounts
  /** The items that were taken `attempts` times and not acknowledged, the oldest first. */
  deadLetters(): DeadLetter<T>[]
  /**
   * Makes all dead letters ready again, behind the others and with new attempts. Returns their number.
   *
   * @throws {CacheError} `ERR_BUSY`.
   */
  revive(): number
  /** Takes one item after the other; a caller acknowledges each. */
  [Symbol.asyncIterator](): AsyncIterator<QueueItem<T>, undefined>
}

const OPTIONS = accepted<QueueOptions>('queue', { capacity: true, visibility: true, attempts: true })
const TAKE = accepted<AcquireOptions>('take', WAIT_NAMES)

/** The rules of a queue, as the native side takes them: 0 is no limit. */
interface Rules {
  readonly key: RawKey
  readonly visibility: Milliseconds
  readonly attempts: number
}

const CALLS: TicketCalls<Rules, NativeTurn, HeldItem> = {
  enter: (handle, rules) => takeFrom(handle, rules, true),
  state: (handle, { key, attempts }, ticket) => native.queueTurn(handle, key, ticket, attempts),
  watch: (handle, { key, attempts }, ticket) => native.queueWatch(handle, key, ticket, attempts),

  leave: (handle, { key, attempts }, ticket) => native.queueLeave(handle, key, ticket, attempts),
  drop: (handle, { key, attempts }, { number, token }) => native.queueRelease(handle, key, number, token, attempts),
  accept: (handle, rules, turn) => HeldItem.of(rules, handle, turn),
  name: ({ key }) => nameFor(key),
  timedOut: ({ key }) => `no item came to ${nameFor(key)}`,
}

/** The waiting takers of one cache. */
export class Queues extends TicketWaits<Rules, NativeTurn, HeldItem> {
  constructor(calls: NativeCalls, recordWatches: RecordWatches) {
    super(calls, recordWatches, CALLS)
  }

  tryTake(rules: Rules): HeldItem | undefined {
    for (;;) {
      const [handle, turn] = this.write(rules, (id) => [id, takeFrom(id, rules, false)] as const)
      if (turn.state !== PermitState.Granted) return undefined
      const item = HeldItem.of(rules, handle, turn)
      if (item !== undefined) return item
    }
  }
}

/** `QueueItem` documents its members. */
class HeldItem {
  readonly id: number
  readonly value: unknown
  readonly attempts: number
  readonly #rules: Rules
  readonly #handle: number
  readonly #token: number
  /** By `performance.now()`; Infinity: no deadline. */
  #deadline: Milliseconds
  #isOver = false

  /** The item of a turn; undefined: it has ended. Throws for a value that cannot be read; the item then goes back. */
  static of(rules: Rules, handle: number, turn: NativeTurn): HeldItem | undefined {
    try {
      const bytes = native.queueValue(handle, rules.key, turn.number)
      if (bytes !== null) return new HeldItem(rules, handle, turn, valueOf(bytes))
      native.queueDiscard(handle, rules.key, turn.number, rules.attempts)
      return undefined
    } catch (error) {
      quietly(() => CALLS.drop(handle, rules, turn))
      throw fromNative(error)
    }
  }

  private constructor(rules: Rules, handle: number, turn: NativeTurn, value: unknown) {
    this.#rules = rules
    this.#handle = handle
    this.#token = turn.token
    this.#deadline = performance.now() + turn.remaining
    this.id = turn.number
    this.value = value
    this.attempts = turn.times
  }

  get expiresAt(): number | undefined {
    return this.#deadline === Infinity ? undefined : Math.round(Date.now() + this.#deadline - performance.now())
  }

  ack(): boolean {
    const { key, attempts } = this.#rules
    return this.#end((handle) => native.queueAcknowledge(handle, key, this.id, this.#token, attempts))
  }

  release(): boolean {
    const { key, attempts } = this.#rules
    return this.#end((handle) => native.queueRelease(handle, key, this.id, this.#token, attempts))
  }

  extend(visibility?: Duration): boolean {
    const { key, attempts } = this.#rules
    const time = visibility === undefined ? this.#rules.visibility : resolveTtl(visibility)
    if (this.#isOver) return false
    const left = this.#call((handle) => native.queueExtend(handle, key, this.id, this.#token, time, attempts))
    if (typeof left !== 'number') return false
    this.#deadline = performance.now() + left
    return true
  }

  [Symbol.dispose](): void {
    this.release()
  }

  // Not async: `release` may throw synchronously, as everywhere else.
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(void this.release())
  }

  #end(run: (handle: number) => boolean): boolean {
    if (this.#isOver) return false
    const done = this.#call(run) ?? false
    this.#isOver = true
    return done
  }

  /** A native call on the handle that took the item. Undefined: the handle is lost, and the item with it. */
  #call<T>(run: (handle: number) => T): T | undefined {
    try {
      return run(this.#handle)
    } catch (error) {
      if (isDetached(error) || (error as { code?: unknown }).code === 'ERR_CLOSED') return undefined
      throw fromNative(error)
    }
  }
}

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`, `ERR_KEY_TOO_LONG`. */
export function queueOf<T>(queues: Queues, name: Key, options: QueueOptions = {}): Queue<T> {
  checkOptions(options, OPTIONS)
  const { capacity = MAX_CAPACITY, visibility = VISIBILITY, attempts = ATTEMPTS } = options
  checkNumber('capacity', capacity, MAX_CAPACITY)
  if (attempts !== Infinity) checkNumber('attempts', attempts, MAX_ATTEMPTS)
  const key = wholeKey(name)
  if (lengthOf(key) > MAX_NAME) {
    throw new CacheError('ERR_KEY_TOO_LONG', `the name of a queue has at most ${MAX_NAME} bytes`)
  }
  const rules: Rules = { key, visibility: resolveTtl(visibility), attempts: attempts === Infinity ? 0 : attempts }
  const tryPush = (value: T): number | undefined => {
    const bytes = Uint8Array.from(encodeStructured([value]))
    return queues.write(rules, (id) => native.queuePush(id, key, bytes, capacity, rules.attempts)) || undefined
  }
  const take = async (given?: AcquireOptions): Promise<QueueItem<T>> =>
    (await queues.wait(rules, resolveAcquire(given, TAKE).limits)) as unknown as QueueItem<T>

  return {
    name: givenKey(key),
    capacity,
    tryPush,
    push(value) {
      const item = tryPush(value)
      if (item !== undefined) return item
      throw new CacheError('ERR_NO_SPACE', `${nameFor(key)} has ${capacity} items`, {
        hint: 'Take items and acknowledge them, remove dead letters, or use tryPush and push later.',
      })
    },
    take,
    tryTake: () => queues.tryTake(rules) as unknown as QueueItem<T> | undefined,
    counts() {
      const [ready = 0, taken = 0, dead = 0, waiting = 0] =
        queues.read((id) => native.queueCounts(id, key, rules.attempts)) ?? []
      return { ready, taken, dead, waiting }
    },
    deadLetters() {
      const ids = queues.read((id) => native.queueDead(id, key)) ?? []
      return ids.flatMap((id) => {
        const bytes = queues.read((handle) => native.queueValue(handle, key, id))
        if (bytes === undefined || bytes === null) return []
        const discard = (): boolean =>
          queues.write(rules, (handle) => native.queueDiscard(handle, key, id, rules.attempts))
        return [{ id, value: valueOf(bytes) as T, discard }]
      })
    },
    revive: () => queues.write(rules, (id) => native.queueRevive(id, key)),
    [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false, value: await take() }) }),
  }
}

function checkNumber(name: string, value: number, most: number): void {
  if (Number.isInteger(value) && value >= 1 && value <= most) return
  throw invalid(`${name} must be a whole number from 1 to ${most}`, value)
}

function lengthOf(key: RawKey): number {
  return typeof key === 'string' ? Buffer.byteLength(key) : key.length
}

function valueOf(bytes: Uint8Array): unknown {
  return (decodeStructured(bytes) as [unknown])[0]
}

function takeFrom(handle: number, { key, visibility, attempts }: Rules, wait: boolean): NativeTurn {
  return native.queueTake(handle, key, visibility, attempts, wait)
}

function nameFor(key: RawKey): string {
  return `the queue ${showKey(key)}`
}
