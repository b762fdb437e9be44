/** The calls on queues of work, as those of the native addon. */
import { PermitState } from '../native/layout.ts'
import type { Native, NativeTurn } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { Purpose } from './entry.ts'
import { remaining, withHandle, withListener } from './handles.ts'
import type { Handle } from './handles.ts'
import { readKey } from './keys.ts'
import { Queue } from './queues.ts'
import type { Turn } from './queues.ts'
import type { Segment } from './segment.ts'

type QueueCalls = Pick<
  Native,
  | 'queuePush'
  | 'queueTake'
  | 'queueTurn'
  | 'queueLeave'
  | 'queueValue'
  | 'queueAcknowledge'
  | 'queueRelease'
  | 'queueExtend'
  | 'queueDiscard'
  | 'queueRevive'
  | 'queueDead'
  | 'queueCounts'
  | 'queueWatch'
>

export const queueCalls: QueueCalls = {
  queuePush: (id, key, value, capacity, attempts) =>
    onQueue(id, key, ({ queue }) => queue.push(value, capacity, attempts)),

  queueTake: (id, key, visibility, attempts, wait) =>
    onQueue(id, key, (subject) =>
      turnOf(subject, subject.queue.take(Math.floor(visibility), attempts, wait), attempts),
    ),

  queueTurn(id, key, ticket, attempts) {
    return onQueue(id, key, (subject) => {
      const turn = subject.queue.turn(ticket)
      if (turn !== ticket) subject.handle.letGo('turn', Purpose.Queues, subject.text, ticket)
      return turnOf(subject, turn, attempts)
    })
  },

  queueLeave(id, key, ticket, attempts) {
    onQueue(id, key, ({ queue, handle, text }) => {
      queue.leave(ticket, attempts)
      handle.letGo('turn', Purpose.Queues, text, ticket)
    })
  },

  queueValue: (id, key, item) => onQueue(id, key, ({ queue }) => copyOf(queue.value(item))),

  queueAcknowledge(id, key, item, token, attempts) {
    return onQueue(id, key, ({ queue, handle, text }) => {
      const ended = queue.acknowledge(item, token, attempts)
      handle.letGo('item', Purpose.Queues, `${token}.${text}`, item)
      return ended
    })
  },

  queueRelease(id, key, item, token, attempts) {
    return onQueue(id, key, ({ queue, handle, text }) => {
      const released = queue.release(item, token, attempts)
      handle.letGo('item', Purpose.Queues, `${token}.${text}`, item)
      return released
    })
  },

  queueExtend(id, key, item, token, visibility, attempts) {
    return onQueue(id, key, ({ queue, segment }) => {
      const deadline = queue.extend(item, token, Math.floor(visibility), attempts)
      return deadline === undefined ? null : remaining(segment, deadline)
    })
  },

  queueDiscard: (id, key, item, attempts) => onQueue(id, key, ({ queue }) => queue.discard(item, attempts)),
  queueRevive: (id, key) => onQueue(id, key, ({ queue }) => queue.revive()),
  queueDead: (id, key) => onQueue(id, key, ({ queue }) => queue.dead()),
  queueCounts: (id, key, attempts) => onQueue(id, key, ({ queue }) => queue.counts(attempts)),

  queueWatch(id, key, ticket, attempts) {
    return withListener(id, (segment, listener, { namespace }) => {
      const space = segment.store.space(namespace, Purpose.Queues)
      return segment.recordWatches.start(listener, space, readKey(key), { turn: ticket, attempts })
    })
  },
}

interface QueueSubject {
  readonly segment: Segment
  readonly handle: Handle
  readonly text: string
  readonly queue: Queue
}

function onQueue<T>(id: number, key: RawKey, run: (subject: QueueSubject) => T): T {
  return withHandle(id, (segment, handle) => {
    const stored = readKey(key)
    const queue = new Queue(segment.store, handle.namespace, stored)
    return run({ segment, handle, text: stored.text, queue })
  })
}

/** Notes an item or a ticket, and makes the answer. Items that are handed out in one step have one token. */
function turnOf({ segment, handle, text, queue }: QueueSubject, turn: Turn, attempts: number): NativeTurn {
  if (typeof turn === 'object') {
    const { item, token, times, deadline } = turn
    handle.hold('item', Purpose.Queues, `${token}.${text}`, item, () => void queue.release(item, token, attempts))
    return { state: PermitState.Granted, number: item, token, times, remaining: remaining(segment, deadline) }
  }
  const none = { token: 0, times: 0, remaining: 0 }
  if (turn === undefined) return { state: PermitState.None, number: 0, ...none }
  handle.hold('turn', Purpose.Queues, text, turn, () => queue.leave(turn, attempts))
  return { state: PermitState.Waiting, number: turn, ...none }
}

function copyOf(bytes: Uint8Array | undefined): Uint8Array | null {
  return bytes === undefined ? null : new Uint8Array(bytes)
}
