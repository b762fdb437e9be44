/**
 * The turns of one cache: who in this thread waits for a lock, a semaphore or a leadership, and what it holds.
 *
 * Those who wait here for the same thing stand in a line, and only the first has a ticket in the segment. So the record there
 * stays small, turns go round among threads and processes, and within a thread in the order of asking. Whoever is at the
 * head inherits the ticket of one who gave up.
 *
 * The thing to get wrong: tickets and tokens belong to one native handle. When the segment is opened anew, held places are
 * lost and lines begin again; a number of the old segment must never be asked about in the new one, where it may be somebody
 * else's.
 */
import { CacheError, fromNative, isDetached } from './errors.ts'
import { TurnState, native } from './native.ts'
import type { NativeTurn, RawKey } from './native.ts'
import { resolveTtl } from './options.ts'
import type { Duration, Milliseconds } from './units.ts'
import { givenKey } from './values.ts'
import type { Key } from './values.ts'
import type { Vigils } from './vigils.ts'
import { MAX_TIMER, startTimer } from './waits.ts'
import type { WaitLimits } from './waits.ts'

/** What somebody wants a place of. */
export interface Claim {
  /** By `Space`. */
  readonly space: number
  readonly key: RawKey
  /** So many can hold it at once. */
  readonly permits: number
  /** How long it is held at most; 0: until it is given back. */
  readonly ttl: Milliseconds
}

/** What turns need from their cache. */
export interface TurnSource {
  /** Runs native calls on the open handle, once more on a new one if its segment is gone. Throws what to reject with. */
  run<T>(call: (handle: number) => T): T
  /** Asks for notices, of vigils and of the loss of the segment. */
  listen(): void
  readonly vigils: Vigils
}

/** A place in the queue of a record, for the head of a line. */
interface Ticket {
  readonly handle: number
  readonly number: number
  readonly vigil: number
  readonly ttl: Milliseconds
}

interface Waiter {
  readonly claim: Claim
  succeed(place: Place): void
  fail(reason: unknown): void
}

/** Those who wait in this thread for the same thing. */
interface Line {
  readonly name: string
  /** In the order of asking. */
  readonly waiters: Set<Waiter>
  ticket: Ticket | undefined
  /** The head is just asking for a place, which may open the segment anew and bring us here again. */
  isAsking: boolean
}

/** The lines and the places of one cache. */
export class Turns {
  readonly #source: TurnSource
  readonly #lines = new Map<string, Line>()
  readonly #places = new Set<Place>()

  constructor(source: TurnSource) {
    this.#source = source
  }

  /** A place if one is free and nobody waits for it. */
  take(claim: Claim): Place | undefined {
    this.#source.listen()
    const { handle, turn } = this.#source.run((handle) => ({ handle, turn: acquire(handle, claim, false) }))
    return turn.state === TurnState.Granted ? this.#placeOf(claim, handle, turn) : undefined
  }

  /** A place, as soon as it is this one's turn. */
  async wait(claim: Claim, limits: WaitLimits): Promise<Place> {
    limits.signal?.throwIfAborted()
    this.#source.listen()
    return new Promise<Place>((resolve, reject) => {
      let isOver = false
      const undo: (() => void)[] = []
      const end = (): void => {
        isOver = true
        for (const step of undo) step()
        this.#leave(line, waiter)
      }
      const waiter: Waiter = {
        claim,
        succeed: (place) => {
          end()
          resolve(place)
        },
        fail: (reason) => {
          end()
          reject(reason)
        },
      }
      const line = this.#lineOf(claim)
      line.waiters.add(waiter)
      this.#advance(line)
      if (isOver) return
      const { timeout, signal, ref } = limits
      undo.push(startTimer(limits, () => waiter.fail(timedOut(timeout))))
      if (signal !== undefined) {
        const abort = (): void => waiter.fail(signal.reason)
        signal.addEventListener('abort', abort)
        undo.push(() => signal.removeEventListener('abort', abort))
      }
      if (ref) {
        // The notifier itself keeps no process alive.
        const keepAlive = setInterval(() => undefined, MAX_TIMER)
        undo.push(() => clearInterval(keepAlive))
      }
    })
  }

  /** How many waiters there are. */
  get waiting(): number {
    let count = 0
    for (const { waiters } of this.#lines.values()) count += waiters.size
    return count
  }

  /** The segment is gone, and everything held in it. */
  lose(reason: CacheError): void {
    for (const place of this.#places) place.lose(reason)
  }

  /** All lines begin again, on a new native handle. */
  restart(): void {
    for (const line of this.#lines.values()) {
      line.ticket = undefined
      this.#advance(line)
    }
  }

  /** Rejects all who wait. */
  reject(reason: unknown): void {
    for (const line of this.#lines.values()) {
      const waiters = [...line.waiters]
      this.#giveUp(line)
      line.waiters.clear() // so that nobody moves up
      for (const waiter of waiters) waiter.fail(reason)
    }
  }

  forget(place: Place): void {
    this.#places.delete(place)
  }

  /** A place was given back. The next one may be waiting in this very thread, and need not be told by another. */
  released(claim: Claim): void {
    const line = this.#lines.get(nameOf(claim))
    if (line !== undefined) this.#look(line, false)
  }

  #lineOf(claim: Claim): Line {
    const name = nameOf(claim)
    let line = this.#lines.get(name)
    if (line === undefined) {
      line = { name, waiters: new Set(), ticket: undefined, isAsking: false }
      this.#lines.set(name, line)
    }
    return line
  }

  #placeOf(claim: Claim, handle: number, turn: NativeTurn): Place {
    const place = new Place(this, claim, handle, turn)
    this.#places.add(place)
    return place
  }

  /** Lets the head of the line ask, and after each who got a place the next. */
  #advance(line: Line): void {
    if (line.isAsking) return
    for (let first = head(line); first !== undefined && line.ticket === undefined; first = head(line)) {
      line.isAsking = true
      try {
        const { claim } = first
        const asked = this.#source.run((handle) => enter(handle, claim))
        if (asked.ticket === undefined) first.succeed(this.#placeOf(claim, asked.handle, asked.turn))
        else this.#await(line, asked.ticket)
      } catch (error) {
        first.fail(error)
      } finally {
        line.isAsking = false
      }
    }
    if (line.waiters.size === 0) this.#lines.delete(line.name)
  }

  #await(line: Line, ticket: Ticket): void {
    line.ticket = ticket
    this.#source.vigils.add(ticket.vigil, () => {
      if (line.ticket === ticket) this.#look(line, true)
    })
  }

  /** Looks how it stands with the line's ticket; `told`: its vigil is over. */
  #look(line: Line, told: boolean): void {
    const { ticket } = line
    const first = head(line)
    if (ticket === undefined || first === undefined) return
    const turn = lookAt(ticket, first.claim)
    if (turn?.state === TurnState.Waiting && !told) return
    if (!told) this.#endVigil(ticket)
    line.ticket = undefined
    if (turn?.state === TurnState.Granted) first.succeed(this.#placeOf(first.claim, ticket.handle, turn))
    else if (turn?.state === TurnState.Waiting) leaveQueue(ticket, first.claim)
    // Else its turn came and went, or the segment did: it starts over.
    this.#advance(line)
  }

  /** It is over with a waiter. The ticket of the first is the next one's, if that asks for the same. */
  #leave(line: Line, waiter: Waiter): void {
    const wasFirst = head(line) === waiter
    line.waiters.delete(waiter)
    if (wasFirst && head(line)?.claim.ttl !== line.ticket?.ttl) this.#giveUp(line, waiter.claim)
    this.#advance(line)
  }

  #giveUp(line: Line, claim = head(line)?.claim): void {
    const { ticket } = line
    line.ticket = undefined
    if (ticket === undefined || claim === undefined) return
    this.#endVigil(ticket)
    leaveQueue(ticket, claim)
  }

  #endVigil({ handle, vigil }: Ticket): void {
    this.#source.vigils.remove(vigil)
    native.vigilCancel(handle, vigil)
  }
}

/** A place that was got: a lock, a permit, a leadership. See `Lock` for what its members promise. */
export class Place {
  readonly #turns: Turns
  readonly #claim: Claim
  readonly #handle: number
  readonly token: number
  /** Why it is lost; undefined while it is held, and once it was given back. */
  #loss: CacheError | undefined
  #isOver = false
  #controller: AbortController | undefined
  #timer: NodeJS.Timeout | undefined
  /** Of `performance.now()`; Infinity: no deadline. */
  #deadline: Milliseconds

  constructor(turns: Turns, claim: Claim, handle: number, { number, remaining }: NativeTurn) {
    this.#turns = turns
    this.#claim = claim
    this.#handle = handle
    this.token = number
    this.#deadline = performance.now() + remaining
  }

  get key(): Key {
    return givenKey(this.#claim.key)
  }

  get expiresAt(): number | undefined {
    return this.#deadline === Infinity ? undefined : Math.round(Date.now() + this.#deadline - performance.now())
  }

  get held(): boolean {
    if (this.#isOver) return false
    const { space, key } = this.#claim
    if (this.#ask((handle) => native.turnHolds(handle, space, key, this.token)) === true) return true
    this.lose(expired())
    return false
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#loss !== undefined) this.#controller.abort(this.#loss)
      this.#watch()
    }
    return this.#controller.signal
  }

  extend(ttl: Duration): void {
    const lifetime = resolveTtl(ttl)
    if (!this.#isOver) {
      const { space, key } = this.#claim
      const remaining = this.#ask((handle) => native.turnExtend(handle, space, key, this.token, lifetime))
      if (typeof remaining === 'number') {
        this.#deadline = performance.now() + remaining
        this.#watch()
        return
      }
      this.lose(expired())
    }
    throw this.#loss ?? new CacheError('ERR_LOCK_LOST', 'it was released')
  }

  release(): boolean {
    if (this.#isOver) return false
    const { space, key, permits } = this.#claim
    const wasHeld = this.#ask((handle) => native.turnRelease(handle, space, key, permits, this.token)) ?? false
    this.#end()
    this.#turns.released(this.#claim)
    return wasHeld
  }

  [Symbol.dispose](): void {
    this.release()
  }

  // Not async: `release` may throw at once, as it does for all others.
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve(void this.release())
  }

  /** It is held no more, by nobody's wish. */
  lose(loss: CacheError): void {
    if (this.#isOver) return
    this.#loss = loss
    this.#end()
    // Not from inside a call, which may be about to open the segment anew: whoever is told may use the cache.
    queueMicrotask(() => this.#controller?.abort(loss))
  }

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#turns.forget(this)
  }

  /** A native call on the handle that it was got on; undefined, and lost, if that is gone. */
  #ask<T>(call: (handle: number) => T): T | undefined {
    try {
      return call(this.#handle)
    } catch (error) {
      if (!isGone(error)) throw fromNative(error)
      this.lose(segmentLost())
      return undefined
    }
  }

  /** Only for those who want to be told: looks when its time is up. */
  #watch(): void {
    clearTimeout(this.#timer)
    if (this.#isOver || this.#controller === undefined || this.#deadline === Infinity) return
    // A timer may fire a moment early, and the segment's clock may be behind.
    const left = Math.max(SHORTEST_LOOK, Math.ceil(this.#deadline - performance.now()))
    this.#timer = setTimeout(() => this.held && this.#watch(), Math.min(left, MAX_TIMER))
    this.#timer.unref()
  }
}

const SHORTEST_LOOK: Milliseconds = 2

function head(line: Line): Waiter | undefined {
  for (const waiter of line.waiters) return waiter
  return undefined
}

function nameOf({ space, key, permits }: Claim): string {
  const text = typeof key === 'string' ? key : `#${Buffer.from(key.buffer, key.byteOffset, key.length).toString('hex')}`
  return `${space} ${permits} ${typeof key} ${text}`
}

function acquire(handle: number, { space, key, permits, ttl }: Claim, wait: boolean): NativeTurn {
  return native.turnAcquire(handle, space, key, permits, ttl, wait)
}

/** Takes a place or a ticket. */
function enter(handle: number, claim: Claim): { handle: number; turn: NativeTurn; ticket?: Ticket } {
  const turn = acquire(handle, claim, true)
  if (turn.state === TurnState.Granted) return { handle, turn }
  const { space, key, permits, ttl } = claim
  const vigil = native.turnAwait(handle, space, key, permits, turn.number)
  return { handle, turn, ticket: { handle, number: turn.number, vigil, ttl } }
}

/** Undefined: the handle is gone. */
function lookAt({ handle, number }: Ticket, { space, key, permits }: Claim): NativeTurn | undefined {
  try {
    return native.turnLook(handle, space, key, permits, number)
  } catch {
    return undefined
  }
}

function leaveQueue({ handle, number }: Ticket, { space, key, permits }: Claim): void {
  try {
    native.turnLeave(handle, space, key, permits, number)
  } catch {
    // The segment was lost, and the queue with it. Anything else is made up for by the close of the handle.
  }
}

/** The native handle is not what it was when the place was got. */
function isGone(error: unknown): boolean {
  return isDetached(error) || (error as { code?: unknown }).code === 'ERR_CLOSED'
}

function timedOut(timeout: Milliseconds): CacheError {
  return new CacheError('ERR_TIMEOUT', `its turn did not come within ${timeout} ms`)
}

function expired(): CacheError {
  return new CacheError('ERR_LOCK_LOST', 'its time ran out')
}

/** Why everything that was held in a segment is lost. */
export function segmentLost(): CacheError {
  return new CacheError('ERR_LOCK_LOST', 'the segment was destroyed')
}
