/**
 * Notices to the handles of a segment. They arrive in order, never inside a call, and keep no process alive.
 *
 * Each comes in a turn of its own of the event loop, as from the native engine: a caller that answers a notice with a
 * new wait must not keep timers and sockets from their turn. A message port brings the turns, since fake timers replace
 * `setImmediate`.
 */
import { MessageChannel } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import type { RawKey } from '../native/raw-calls.ts'

/** The notifier of a handle. */
export interface Listener {
  readonly namespace: number
  /** As in `Space`. */
  readonly version: number
  notify(notice: number, ids: number[], keys: RawKey[]): void
  wantsRemovals: boolean
  /** False after the close of its handle. */
  isOpen: boolean
}

interface Pending {
  readonly listener: Listener
  readonly notice: number
  readonly ids: number[]
  readonly keys: RawKey[]
}

let pending: Pending[] = []
let turns: MessagePort | undefined

/** Sends a notice. */
export function post(listener: Listener, notice: number, ids: number[], keys: RawKey[] = []): void {
  pending.push({ listener, notice, ids, keys })
  if (pending.length > 1) return
  turns ??= newTurns()
  turns.postMessage(undefined)
}

function newTurns(): MessagePort {
  const { port1, port2 } = new MessageChannel()
  port2.on('message', send)
  port1.unref()
  port2.unref()
  return port1
}

function send(): void {
  const now = pending
  pending = []
  let sent = 0
  try {
    for (const { listener, notice, ids, keys } of now) {
      sent++
      if (listener.isOpen) listener.notify(notice, ids, keys)
    }
  } finally {
    // An error of a notifier is an uncaught exception, and keeps no other notice back.
    if (sent < now.length) {
      pending = [...now.slice(sent), ...pending]
      turns?.postMessage(undefined)
    }
  }
}

/** Sends notices with many ids: those of one change go together. */
export class Batch {
  readonly #notice: number
  readonly #ids = new Map<Listener, number[]>()

  constructor(notice: number) {
    this.#notice = notice
  }

  add(listener: Listener, id: number): void {
    const ids = this.#ids.get(listener)
    if (ids === undefined) this.#ids.set(listener, [id])
    else ids.push(id)
  }

  post(): void {
    for (const [listener, ids] of this.#ids) post(listener, this.#notice, ids)
  }
}
