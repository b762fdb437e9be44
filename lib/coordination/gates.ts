/**
 * The waits of one cache at gates: events, barriers and conditions.
 *
 * Each wait has a ticket of its own in the segment, and passes once for it. A pass that has come wins over a timeout or
 * a signal that comes at the same time.
 *
 * Caution: tickets are valid for one native handle only. When the segment is opened again, every wait enters its gate
 * again, on the new handle.
 */
import { about, fromNative, isDetached, showKey } from '../errors.ts'
import type { CacheError } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { Keyspace, PermitState } from '../native/layout.ts'
import type { NativePermit } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Dependent, NativeCalls } from '../segment/calls.ts'
import type { RecordWatches } from '../waiting/record-watches.ts'
import { KeepAlive, limitWait } from '../waiting/timers.ts'
import type { WaitLimits } from '../waiting/timers.ts'

/** An event, a barrier or a condition. */
export interface Gate {
  /** By `Keyspace`. */
  readonly keyspace: number
  readonly key: RawKey
  /** Of a barrier. */
  readonly parties: number
}

interface Ticket {
  readonly handle: number
  readonly number: number
  readonly recordWatch: number
}

interface Wait {
  readonly gate: Gate
  ticket: Ticket | undefined
  /** `isFirst`: without waiting. */
  pass(isFirst: boolean): void
  fail(reason: unknown): void
}

/** The waits of one cache. */
export class Gates implements Dependent {
  readonly #calls: NativeCalls
  readonly #recordWatches: RecordWatches
  readonly #waits = new Set<Wait>()
  readonly #keepAlive = new KeepAlive()

  constructor(calls: NativeCalls, recordWatches: RecordWatches) {
    this.#calls = calls
    this.#recordWatches = recordWatches
  }

  /**
   * Resolves when the gate is passed: with true without a wait, so for the last party of a barrier. `entered` is called
   * in the same step, as soon as this wait has its place.
   */
  async pass(gate: Gate, limits: WaitLimits, entered?: () => void): Promise<boolean> {
    limits.signal?.throwIfAborted()
    this.#calls.listen()
    return new Promise<boolean>((resolve, reject) => {
      let removeLimits = (): void => undefined
      const end = (): void => {
        removeLimits()
        this.#waits.delete(wait)
      }
      const wait: Wait = {
        gate,
        ticket: undefined,
        pass: (isFirst) => {
          end()
          resolve(isFirst)
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
        () => timedOut(gate),
        (reason) => this.#giveUp(wait, reason),
      )
    })
  }

  /** Lets the first waiters of a condition pass, up to `count`. */
  notify(key: RawKey, count: number): number {
    return this.#write(Keyspace.Conditions, key, (id) => native.conditionNotify(id, key, count))
  }

  /** Sets or clears an event. Returns whether that changed it. */
  setEvent(key: RawKey, isSet: boolean): boolean {
    return this.#write(Keyspace.Events, key, (id) => native.eventSet(id, key, isSet))
  }

  /** Whether an event is set, and the number of the living waiters of a gate. */
  state(keyspace: number, key: RawKey): { isSet: boolean; waiting: number } {
    const [isSet = 0, waiting = 0] = this.#calls.read((id) => native.gateState(id, keyspace, key)) ?? []
    return { isSet: isSet === 1, waiting }
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

  #write<T>(keyspace: number, key: RawKey, run: (id: number) => T): T {
    try {
      return this.#calls.write(run)
    } catch (error) {
      throw about(nameFor({ keyspace, key }), error)
    }
  }

  #enter(wait: Wait): void {
    const { keyspace, key, parties } = wait.gate
    try {
      const [handle, answer] = this.#calls.write((id) => [id, native.gateEnter(id, keyspace, key, parties)] as const)
      // The call may have opened the segment again, and that has entered this wait already.
      if (!this.#waits.has(wait) || wait.ticket !== undefined) return
      if (answer.state === PermitState.Granted) wait.pass(true)
      else this.#watch(wait, handle, answer.number)
    } catch (error) {
      wait.fail(about(nameFor(wait.gate), error))
    }
  }

  #watch(wait: Wait, handle: number, number: number): void {
    const { keyspace, key } = wait.gate
    const recordWatch = native.ticketWatch(handle, keyspace, key, 0, number)
    const ticket = { handle, number, recordWatch }
    wait.ticket = ticket
    this.#recordWatches.add(recordWatch, () => {
      if (wait.ticket === ticket && this.#waits.has(wait)) this.#look(wait, ticket)
    })
  }

  /** Looks at the ticket after its record watch was reported. */
  #look(wait: Wait, { handle, number }: Ticket): void {
    const state = ticketState(handle, wait.gate, number)
    if (state?.state === PermitState.Granted) {
      leave(handle, wait.gate, state.number)
      wait.pass(false)
    } else if (state?.state === PermitState.Waiting) {
      this.#watch(wait, handle, number)
    } else if (state !== undefined) {
      // The ticket is gone without a pass, for example with the record that was damaged: a new one.
      wait.ticket = undefined
      this.#enter(wait)
    }
  }

  /** Ends the wait without a pass, unless that has come meanwhile. */
  #giveUp(wait: Wait, reason: unknown): void {
    const { ticket } = wait
    if (ticket !== undefined && ticketState(ticket.handle, wait.gate, ticket.number)?.state === PermitState.Granted) {
      this.#recordWatches.cancel(ticket.handle, ticket.recordWatch)
      leave(ticket.handle, wait.gate, ticket.number)
      wait.pass(false)
      return
    }
    this.#leave(wait)
    wait.fail(reason)
  }

  #leave(wait: Wait): void {
    const { ticket } = wait
    if (ticket === undefined) return
    wait.ticket = undefined
    this.#recordWatches.cancel(ticket.handle, ticket.recordWatch)
    try {
      native.ticketCancel(ticket.handle, wait.gate.keyspace, wait.gate.key, 0, ticket.number)
    } catch {
      // The segment was lost, and the ticket with it. After any other error, the close of the handle removes it.
    }
  }
}

/** Undefined: the handle is lost, and the segment is opened again or given up. */
function ticketState(handle: number, { keyspace, key }: Gate, ticket: number): NativePermit | undefined {
  try {
    return native.ticketState(handle, keyspace, key, 0, ticket)
  } catch {
    return undefined
  }
}

/** Gives back the pass of a wait that has noticed it. `token` is its ticket. */
function leave(handle: number, { keyspace, key }: Gate, token: number): void {
  try {
    native.permitRelease(handle, keyspace, key, 0, token)
  } catch (error) {
    if (!isDetached(error)) throw fromNative(error)
  }
}

function timedOut(gate: Gate): string {
  const name = nameFor(gate)
  if (gate.keyspace === Keyspace.Events) return `${name} was not set`
  return gate.keyspace === Keyspace.Barriers ? `too few callers came to ${name}` : `${name} was not notified`
}

function nameFor({ keyspace, key }: Omit<Gate, 'parties'>): string {
  const name = showKey(key)
  if (keyspace === Keyspace.Events) return `the event ${name}`
  return keyspace === Keyspace.Barriers ? `the barrier ${name}` : `the condition ${name}`
}
