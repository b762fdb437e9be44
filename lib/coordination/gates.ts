/** The waits of one cache at gates: events, barriers and conditions. */
import { fromNative, isDetached, showKey } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { Keyspace } from '../native/layout.ts'
import type { NativePermit } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { NativeCalls } from '../segment/calls.ts'
import type { RecordWatches } from '../waiting/record-watches.ts'
import { TicketWaits } from '../waiting/ticket-waits.ts'
import type { TicketCalls } from '../waiting/ticket-waits.ts'

/** An event, a barrier or a condition. */
export interface Gate {
  /** By `Keyspace`. */
  readonly keyspace: number
  readonly key: RawKey
  /** Of a barrier. */
  readonly parties: number
}

const CALLS: TicketCalls<Gate, NativePermit, boolean> = {
  enter: (handle, { keyspace, key, parties }) => native.gateEnter(handle, keyspace, key, parties),
  state: (handle, { keyspace, key }, ticket) => native.ticketState(handle, keyspace, key, 0, ticket),
  watch: (handle, { keyspace, key }, ticket) => native.ticketWatch(handle, keyspace, key, 0, ticket),

  leave: (handle, { keyspace, key }, ticket) => native.ticketCancel(handle, keyspace, key, 0, ticket),
  // A caller that passes without a wait holds nothing.
  drop: () => undefined,

  /** True: without a wait. */
  accept(handle, gate, { number }, hasWaited) {
    if (hasWaited) leave(handle, gate, number)
    return !hasWaited
  },

  name: nameFor,

  timedOut(gate) {
    const name = nameFor(gate)
    if (gate.keyspace === Keyspace.Events) return `${name} was not set`
    return gate.keyspace === Keyspace.Barriers ? `too few callers came to ${name}` : `${name} was not notified`
  },
}

/** The waits of one cache. `wait` resolves with true without a wait, so for the last party of a barrier. */
export class Gates extends TicketWaits<Gate, NativePermit, boolean> {
  constructor(calls: NativeCalls, recordWatches: RecordWatches) {
    super(calls, recordWatches, CALLS)
  }

  /** Whether an event is set, and the number of the living waiters of a gate. */
  state({ keyspace, key }: Gate): { isSet: boolean; waiting: number } {
    const [isSet = 0, waiting = 0] = this.read((id) => native.gateState(id, keyspace, key)) ?? []
    return { isSet: isSet === 1, waiting }
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

function nameFor({ keyspace, key }: Gate): string {
  const name = showKey(key)
  if (keyspace === Keyspace.Events) return `the event ${name}`
  return keyspace === Keyspace.Barriers ? `the barrier ${name}` : `the condition ${name}`
}
