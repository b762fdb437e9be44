/**
 * Waits with a ticket each in a record of the segment: for a gate to open, or for an item of a queue.
 *
 * What has come for a ticket wins over a timeout or a signal that comes at the same time.
 *
 * Caution: tickets are valid for one native handle only. When the segment is opened again, every wait asks again, on the
 * new handle.
 */
import { about } from '../errors.ts'
import type { CacheError } from '../errors.ts'
import { PermitState } from '../native/layout.ts'
import type { Dependent, NativeCalls } from '../segment/calls.ts'
import type { RecordWatches } from './record-watches.ts'
import { KeepAlive, limitWait } from './timers.ts'
import type { WaitLimits } from './timers.ts'

/** The answer to a request, or the state of its ticket. */
export interface Answer {
  /** By `PermitState`. */
  readonly state: number
  /** Waiting: the ticket. */
  readonly number: number
}

/** The native calls of one kind of wait: `R` is what is asked for, `A` an answer, `T` what a caller gets. */
export interface TicketCalls<R, A extends Answer, T> {
  /** Asks, and enters the queue if there is nothing yet. */
  enter(handle: number, request: R): A
  state(handle: number, request: R, ticket: number): A
  watch(handle: number, request: R, ticket: number): number
  leave(handle: number, request: R, ticket: number): void
  /** Gives back what was granted without a wait, and no caller wants. */
  drop(handle: number, request: R, answer: A): void
  /** What a caller gets for a granted answer. Undefined: nothing after all, so the wait asks again. */
  accept(handle: number, request: R, answer: A, hasWaited: boolean): T | undefined
  /** A request as messages name it. */
  name(request: R): string
  /** The message of a timeout, without the time. */
  timedOut(request: R): string
}

interface Ticket {
  readonly handle: number
  readonly number: number
  readonly recordWatch: number
}

interface Wait<R, T> {
  readonly request: R
  ticket: Ticket | undefined
  succeed(result: T): void
  fail(reason: unknown): void
}

/** The waits of one kind of one cache. */
export class TicketWaits<R, A extends Answer, T> implements Dependent {
  readonly #calls: NativeCalls
  readonly #recordWatches: RecordWatches
  readonly #native: TicketCalls<R, A, T>
  readonly #waits = new Set<Wait<R, T>>()
  readonly #keepAlive = new KeepAlive()

  constructor(calls: NativeCalls, recordWatches: RecordWatches, native: TicketCalls<R, A, T>) {
    this.#calls = calls
    this.#recordWatches = recordWatches
    this.#native = native
  }

  /** `entered` is called in the same step, as soon as this wait has its place. */
  async wait(request: R, limits: WaitLimits, entered?: () => void): Promise<T> {
    limits.signal?.throwIfAborted()
    this.#calls.listen()
    return new Promise<T>((resolve, reject) => {
      let removeLimits = (): void => undefined
      const end = (): void => {
        removeLimits()
        this.#waits.delete(wait)
      }
      const wait: Wait<R, T> = {
        request,
        ticket: undefined,
        succeed: (result) => {
          end()
          resolve(result)
        },
        fail: (reason) => {
          end()
          reject(reason)
        },
      }
      this.#waits.add(wait)
      this.#enter(wait)
      if (!this.#waits.has(wait)) return
      try {
        entered?.()
      } catch (error) {
        this.#giveUp(wait, error)
        return
      }
      removeLimits = limitWait(
        limits,
        this.#keepAlive,
        () => this.#native.timedOut(request),
        (reason) => this.#giveUp(wait, reason),
      )
    })
  }

  /** A call that throws on trouble with the segment, with the request in its message. */
  write<W>(request: R, run: (id: number) => W): W {
    try {
      return this.#calls.write(run)
    } catch (error) {
      throw about(this.#native.name(request), error)
    }
  }

  /** A call for a read. Undefined: trouble with the segment. */
  read<W>(run: (id: number) => W): W | undefined {
    return this.#calls.read(run)
  }

  get waiting(): number {
    return this.#waits.size
  }

  lose(): void {}

  restart(): void {
    for (const wait of this.#waits) {
      wait.ticket = undefined
      this.#enter(wait)
    }
  }

  reject(error: unknown): void {
    for (const wait of this.#waits) {
      this.#leave(wait)
      wait.fail(error)
    }
  }

  close(error: CacheError): void {
    this.reject(error)
  }

  #enter(wait: Wait<R, T>): void {
    const { request } = wait
    try {
      while (this.#needsTicket(wait)) {
        const [handle, answer] = this.write(request, (id) => [id, this.#native.enter(id, request)] as const)
        if (!this.#needsTicket(wait)) {
          // The call has opened the segment again, and that has entered this wait already.
          quietly(() => {
            if (answer.state === PermitState.Waiting) this.#native.leave(handle, request, answer.number)
            else this.#native.drop(handle, request, answer)
          })
        } else if (answer.state === PermitState.Waiting) {
          this.#watch(wait, handle, answer.number)
        } else {
          this.#accept(wait, handle, answer, false)
        }
      }
    } catch (error) {
      wait.fail(error)
    }
  }

  #needsTicket(wait: Wait<R, T>): boolean {
    return this.#waits.has(wait) && wait.ticket === undefined
  }

  #accept(wait: Wait<R, T>, handle: number, answer: A, hasWaited: boolean): void {
    const result = this.#native.accept(handle, wait.request, answer, hasWaited)
    if (result !== undefined) wait.succeed(result)
  }

  #watch(wait: Wait<R, T>, handle: number, number: number): void {
    const ticket = { handle, number, recordWatch: this.#native.watch(handle, wait.request, number) }
    wait.ticket = ticket
    this.#recordWatches.add(ticket.recordWatch, () => {
      if (wait.ticket === ticket && this.#waits.has(wait)) this.#look(wait, ticket)
    })
  }

  /** Looks at the ticket after its record watch was reported. */
  #look(wait: Wait<R, T>, ticket: Ticket): void {
    const answer = this.#stateOf(wait.request, ticket)
    if (answer === undefined) return
    if (answer.state === PermitState.Waiting) {
      this.#watch(wait, ticket.handle, ticket.number)
      return
    }
    wait.ticket = undefined
    this.#take(wait, ticket, answer)
    // Nothing after all, or the ticket is gone, for example with the record that was damaged: a new one.
    this.#enter(wait)
  }

  #take(wait: Wait<R, T>, { handle }: Ticket, answer: A): void {
    if (answer.state !== PermitState.Granted) return
    try {
      this.#accept(wait, handle, answer, true)
    } catch (error) {
      wait.fail(about(this.#native.name(wait.request), error))
    }
  }

  /** Undefined: the handle is lost, and the segment is opened again or given up. */
  #stateOf(request: R, { handle, number }: Ticket): A | undefined {
    try {
      return this.#native.state(handle, request, number)
    } catch {
      return undefined
    }
  }

  /** Ends the wait with nothing, unless something has come meanwhile. */
  #giveUp(wait: Wait<R, T>, reason: unknown): void {
    const { ticket, request } = wait
    const answer = ticket === undefined ? undefined : this.#stateOf(request, ticket)
    if (ticket !== undefined && answer?.state === PermitState.Granted) {
      this.#recordWatches.cancel(ticket.handle, ticket.recordWatch)
      wait.ticket = undefined
      this.#take(wait, ticket, answer)
      if (!this.#waits.has(wait)) return
    }
    this.#leave(wait)
    wait.fail(reason)
  }

  #leave(wait: Wait<R, T>): void {
    const { ticket, request } = wait
    if (ticket === undefined) return
    wait.ticket = undefined
    this.#recordWatches.cancel(ticket.handle, ticket.recordWatch)
    quietly(() => this.#native.leave(ticket.handle, request, ticket.number))
  }
}

/** Gives something back. */
export function quietly(giveBack: () => void): void {
  try {
    giveBack()
  } catch {
    // The segment was lost, and all of it with it. After any other error, the close of the handle gives it back.
  }
}
