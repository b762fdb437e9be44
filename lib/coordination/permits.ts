/**
 * The permits of one cache: granted permits of locks, semaphores and leaderships, and the wait queues of this thread.
 *
 * The callers of this thread that wait for the same permit form a wait queue, and only its head has a ticket in the
 * segment. So the record in the segment stays small, permits alternate between threads and processes, and each thread
 * serves its callers in the order of asking. If the head gives up, the next caller inherits its ticket.
 *
 * Caution: tickets and tokens are valid for one native handle only. When the segment is opened again, held permits are
 * lost and wait queues start again. An old number must never be used on the new handle, where it may belong to another
 * caller.
 */
import { givenKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { resolveTtl } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import { CacheError, about, fromNative, isDetached, showKey } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { Keyspace, PermitState } from '../native/layout.ts'
import type { NativePermit } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Dependent, NativeCalls } from '../segment/calls.ts'
import type { RecordWatches } from '../waiting/record-watches.ts'
import { KeepAlive, MAX_TIMER, limitWait, unref } from '../waiting/timers.ts'
import type { WaitLimits } from '../waiting/timers.ts'

/** A request for a permit. */
export interface PermitRequest {
  /** By `Keyspace`. */
  readonly keyspace: number
  readonly key: RawKey
  /** Maximum number of holders at a time. */
  readonly permits: number
  /** Maximum time of a hold; 0: until it is released. */
  readonly ttl: Milliseconds
}

/** A place in the queue of the record in the segment, for the head of a wait queue. */
interface Ticket {
  readonly handle: number
  readonly number: number
  readonly recordWatch: number
  readonly ttl: Milliseconds
}

interface Waiter {
  readonly request: PermitRequest
  succeed(permit: HeldPermit): void
  fail(reason: unknown): void
}

/** The waiters of this thread for the same permit. */
interface WaitQueue {
  readonly name: string
  /** In the order of asking. */
  readonly waiters: Set<Waiter>
  /** The first waiter at the last look, and the iterator that found it; see `headOf`. */
  head: Waiter | undefined
  order: Iterator<Waiter, undefined>
  ticket: Ticket | undefined
  /** The head is asking for a permit. That may open the segment again, which calls `#advance` once more. */
  isAsking: boolean
}

/** The wait queues and the held permits of one cache. */
export class Permits implements Dependent {
  readonly #calls: NativeCalls
  readonly #recordWatches: RecordWatches
  readonly #queues = new Map<string, WaitQueue>()
  readonly #held = new Set<HeldPermit>()
  readonly #keepAlive = new KeepAlive()

  constructor(calls: NativeCalls, recordWatches: RecordWatches) {
    this.#calls = calls
    this.#recordWatches = recordWatches
  }

  /** A permit if one is free and no caller waits for it. */
  take(request: PermitRequest): HeldPermit | undefined {
    this.#calls.listen()
    const { handle, answer } = this.#acquire(request)
    return answer.state === PermitState.Granted ? this.#hold(request, handle, answer) : undefined
  }

  #acquire(request: PermitRequest): { readonly handle: number; readonly answer: NativePermit } {
    try {
      return this.#calls.write((handle) => ({ handle, answer: acquire(handle, request, false) }))
    } catch (error) {
      throw about(nameFor(request), error)
    }
  }

  /** A permit, as soon as it is granted. */
  async wait(request: PermitRequest, limits: WaitLimits): Promise<HeldPermit> {
    limits.signal?.throwIfAborted()
    this.#calls.listen()
    return new Promise<HeldPermit>((resolve, reject) => {
      let isOver = false
      let removeLimits = (): void => undefined
      const end = (): void => {
        isOver = true
        removeLimits()
        this.#leave(queue, waiter)
      }
      const waiter: Waiter = {
        request,
        succeed: (permit) => {
          end()
          resolve(permit)
        },
        fail: (reason) => {
          end()
          reject(reason)
        },
      }
      const queue = this.#queueOf(request)
      queue.waiters.add(waiter)
      this.#advance(queue)
      if (!isOver)
        removeLimits = limitWait(limits, this.#keepAlive, () => `${nameFor(request)} was not granted`, waiter.fail)
    })
  }

  /** How many permits are held and how many callers wait, over all processes. */
  counts(keyspace: number, key: RawKey): readonly number[] {
    return this.#calls.read((id) => native.permitCounts(id, keyspace, key)) ?? []
  }

  get waiting(): number {
    let count = 0
    for (const { waiters } of this.#queues.values()) count += waiters.size
    return count
  }

  /** Every held permit is lost with its segment. */
  lose(): void {
    for (const permit of this.#held) permit.loseSegment()
  }

  /** All wait queues start again, on the new native handle. */
  restart(): void {
    for (const queue of this.#queues.values()) {
      queue.ticket = undefined
      this.#advance(queue)
    }
  }

  reject(error: unknown): void {
    for (const queue of this.#queues.values()) {
      const waiters = [...queue.waiters]
      this.#giveUp(queue)
      queue.waiters.clear() // so that no waiter becomes the head
      for (const waiter of waiters) waiter.fail(error)
    }
  }

  close(error: CacheError): void {
    this.reject(error)
    for (const permit of this.#held) permit.lose(error)
  }

  /** For a permit that is over. */
  forget(permit: HeldPermit): void {
    this.#held.delete(permit)
  }

  /** For a permit that was released: checks the ticket of this thread at once, without waiting for a notice. */
  released(request: PermitRequest): void {
    const queue = this.#queues.get(nameOf(request))
    if (queue !== undefined) this.#checkTicket(queue, false)
  }

  #queueOf(request: PermitRequest): WaitQueue {
    const name = nameOf(request)
    let queue = this.#queues.get(name)
    if (queue === undefined) {
      const waiters = new Set<Waiter>()
      queue = { name, waiters, head: undefined, order: waiters.values(), ticket: undefined, isAsking: false }
      this.#queues.set(name, queue)
    }
    return queue
  }

  #hold(request: PermitRequest, handle: number, answer: NativePermit): HeldPermit {
    const permit = new HeldPermit(this, request, handle, answer)
    this.#held.add(permit)
    return permit
  }

  /** Lets the head of the queue ask, and after each granted permit the next waiter. */
  #advance(queue: WaitQueue): void {
    if (queue.isAsking) return
    for (let head = headOf(queue); head !== undefined && queue.ticket === undefined; head = headOf(queue)) {
      queue.isAsking = true
      try {
        const { request } = head
        const { handle, answer, ticket } = this.#calls.write((id) => enter(id, request))
        if (ticket === undefined) head.succeed(this.#hold(request, handle, answer))
        else this.#await(queue, ticket)
      } catch (error) {
        head.fail(about(nameFor(head.request), error))
      } finally {
        queue.isAsking = false
      }
    }
    if (queue.waiters.size === 0) this.#queues.delete(queue.name)
  }

  #await(queue: WaitQueue, ticket: Ticket): void {
    queue.ticket = ticket
    this.#recordWatches.add(ticket.recordWatch, () => {
      if (queue.ticket === ticket) this.#checkTicket(queue, true)
    })
  }

  /** Reads the state of the ticket. `notified`: its record watch was reported and is over. */
  #checkTicket(queue: WaitQueue, notified: boolean): void {
    const { ticket } = queue
    const head = headOf(queue)
    if (ticket === undefined || head === undefined) return
    const answer = ticketState(ticket, head.request)
    if (answer?.state === PermitState.Waiting && !notified) return
    if (!notified) this.#endRecordWatch(ticket)
    queue.ticket = undefined
    if (answer?.state === PermitState.Granted) head.succeed(this.#hold(head.request, ticket.handle, answer))
    else if (answer?.state === PermitState.Waiting) leaveQueue(ticket, head.request)
    // Otherwise the ticket was lost, alone or with its segment: the head asks again.
    this.#advance(queue)
  }

  /** Removes a waiter. The next one inherits the ticket of the head if it asks for the same `ttl`. */
  #leave(queue: WaitQueue, waiter: Waiter): void {
    const wasHead = headOf(queue) === waiter
    queue.waiters.delete(waiter)
    if (wasHead && headOf(queue)?.request.ttl !== queue.ticket?.ttl) this.#giveUp(queue, waiter.request)
    this.#advance(queue)
  }

  #giveUp(queue: WaitQueue, request = headOf(queue)?.request): void {
    const { ticket } = queue
    queue.ticket = undefined
    if (ticket === undefined || request === undefined) return
    this.#endRecordWatch(ticket)
    leaveQueue(ticket, request)
  }

  #endRecordWatch({ handle, recordWatch }: Ticket): void {
    this.#recordWatches.cancel(handle, recordWatch)
  }
}

/** A granted permit: a lock, a permit of a semaphore, or a leadership. `Lock` documents its members. */
export class HeldPermit {
  readonly #permits: Permits
  readonly #request: PermitRequest
  readonly #handle: number
  readonly token: number
  /** Why the permit is lost; undefined while it is held, and after a release. */
  #loss: CacheError | undefined
  #isOver = false
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined
  /** By `performance.now()`; Infinity: no deadline. */
  #deadline: Milliseconds

  constructor(permits: Permits, request: PermitRequest, handle: number, { number, remaining }: NativePermit) {
    this.#permits = permits
    this.#request = request
    this.#handle = handle
    this.token = number
    this.#deadline = performance.now() + remaining
  }

  get request(): PermitRequest {
    return this.#request
  }

  get key(): Key {
    return givenKey(this.#request.key)
  }

  get expiresAt(): number | undefined {
    return this.#deadline === Infinity ? undefined : Math.round(Date.now() + this.#deadline - performance.now())
  }

  get held(): boolean {
    if (this.#isOver) return false
    const { keyspace, key } = this.#request
    if (this.#call((handle) => native.permitIsHeld(handle, keyspace, key, this.token)) === true) return true
    this.lose(expired(this.#request))
    return false
  }

  get signal(): AbortSignal {
    const isFirst = this.#controller === undefined
    const controller = (this.#controller ??= new AbortController())
    // A busy thread gets notices and timers late, so a read looks for itself.
    if (!this.held && this.#loss !== undefined) controller.abort(this.#loss)
    if (isFirst) this.#watchDeadline()
    return controller.signal
  }

  extend(ttl: Duration): void {
    const lifetime = resolveTtl(ttl)
    if (!this.#isOver) {
      const { keyspace, key } = this.#request
      const remaining = this.#call((handle) => native.permitExtend(handle, keyspace, key, this.token, lifetime))
      if (typeof remaining === 'number') {
        this.#deadline = performance.now() + remaining
        this.#watchDeadline()
        return
      }
      this.lose(expired(this.#request))
    }
    throw this.#loss ?? new CacheError('ERR_LOCK_LOST', `${nameFor(this.#request)} was released`)
  }

  release(): boolean {
    if (this.#isOver) return false
    const { keyspace, key, permits } = this.#request
    const wasHeld = this.#call((handle) => native.permitRelease(handle, keyspace, key, permits, this.token)) ?? false
    this.#end()
    this.#permits.released(this.#request)
    return wasHeld
  }

  [Symbol.dispose](): void {
    this.release()
  }

  // Not async: `release` may throw synchronously, as everywhere else.
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(void this.release())
  }

  /** The permit is over with its segment. */
  loseSegment(): void {
    this.lose(segmentLost(this.#request))
  }

  /** The permit is over without a release. */
  lose(loss: CacheError): void {
    if (this.#isOver) return
    this.#loss = loss
    this.#end()
    // A listener may use the cache, and this call may be about to open the segment again.
    queueMicrotask(() => this.#controller?.abort(loss))
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#permits.forget(this)
  }

  /** A native call on the handle that granted the permit. Undefined: the handle is lost, and the permit with it. */
  #call<T>(run: (handle: number) => T): T | undefined {
    try {
      return run(this.#handle)
    } catch (error) {
      if (!isHandleLost(error)) throw fromNative(error)
      this.loseSegment()
      return undefined
    }
  }

  /** Checks the permit at its deadline, if its signal was read. */
  #watchDeadline(): void {
    clearTimeout(this.#timer)
    if (this.#isOver || this.#controller === undefined || this.#deadline === Infinity) return
    // A timer may fire early, and the clock of the segment may be behind.
    const left = Math.max(MIN_CHECK_DELAY, Math.ceil(this.#deadline - performance.now()))
    this.#timer = setTimeout(() => this.held && this.#watchDeadline(), Math.min(left, MAX_TIMER))
    unref(this.#timer)
  }
}

const MIN_CHECK_DELAY: Milliseconds = 2

/** The first waiter. One iterator finds all of them in turn: a new one would pass over every waiter that has left. */
function headOf(queue: WaitQueue): Waiter | undefined {
  while (queue.head === undefined || !queue.waiters.has(queue.head)) {
    const { done, value } = queue.order.next()
    queue.head = value
    if (!done) continue
    queue.order = queue.waiters.values()
    return undefined
  }
  return queue.head
}

/** Different for different permits. */
export function nameOf({ keyspace, key, permits }: PermitRequest): string {
  const text = typeof key === 'string' ? key : `#${Buffer.from(key.buffer, key.byteOffset, key.length).toString('hex')}`
  return `${keyspace} ${permits} ${typeof key} ${text}`
}

function acquire(handle: number, { keyspace, key, permits, ttl }: PermitRequest, wait: boolean): NativePermit {
  return native.permitAcquire(handle, keyspace, key, permits, ttl, wait)
}

/** Takes a permit or a ticket. */
function enter(handle: number, request: PermitRequest): { handle: number; answer: NativePermit; ticket?: Ticket } {
  const answer = acquire(handle, request, true)
  if (answer.state === PermitState.Granted) return { handle, answer }
  const { keyspace, key, permits, ttl } = request
  const recordWatch = native.ticketWatch(handle, keyspace, key, permits, answer.number)
  return { handle, answer, ticket: { handle, number: answer.number, recordWatch, ttl } }
}

/** Undefined: the handle is lost. */
function ticketState({ handle, number }: Ticket, { keyspace, key, permits }: PermitRequest): NativePermit | undefined {
  try {
    return native.ticketState(handle, keyspace, key, permits, number)
  } catch {
    return undefined
  }
}

function leaveQueue({ handle, number }: Ticket, { keyspace, key, permits }: PermitRequest): void {
  try {
    native.ticketCancel(handle, keyspace, key, permits, number)
  } catch {
    // The segment was lost, and the queue with it. After any other error, the close of the handle removes the ticket.
  }
}

/** Whether the native handle was closed, or its segment lost. */
function isHandleLost(error: unknown): boolean {
  return isDetached(error) || (error as { code?: unknown }).code === 'ERR_CLOSED'
}

function expired(request: PermitRequest): CacheError {
  return new CacheError('ERR_LOCK_LOST', `the ttl of ${nameFor(request)} passed`)
}

function segmentLost(request: PermitRequest): CacheError {
  return new CacheError('ERR_LOCK_LOST', `the segment was destroyed or lost, and with it ${nameFor(request)}`)
}

/** A request as messages name it. */
function nameFor({ keyspace, key }: PermitRequest): string {
  const name = showKey(key)
  if (keyspace === Keyspace.Locks) return `the lock of ${name}`
  return keyspace === Keyspace.Elections ? `the leadership of ${name}` : `a permit of the semaphore ${name}`
}
