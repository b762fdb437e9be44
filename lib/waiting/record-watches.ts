/**
 * The record watches of one cache: callbacks for a change of a record in the segment, such as a ticket or a flight.
 *
 * The background thread reports a record watch once, and never inside a call.
 *
 * Caution: the number of a record watch is valid for one native handle only, so all are dropped when the segment is
 * opened again.
 */
import { native } from '../engine/engine.ts'
import type { Dependent, Notified } from '../segment/calls.ts'

/** The record watches that were started and not reported yet. */
export class RecordWatches implements Dependent, Notified {
  /** Callers that wait for a record are counted where they wait. */
  readonly waiting = 0
  readonly #callbacks = new Map<number, () => void>()

  /** Calls `callback` when the native side reports this record watch. */
  add(id: number, callback: () => void): void {
    this.#callbacks.set(id, callback)
  }

  /** Ends a record watch. A notice of it that is still on its way is ignored. */
  cancel(handle: number, id: number): void {
    this.#callbacks.delete(id)
    try {
      native.recordWatchCancel(handle, id)
    } catch {
      // The handle was closed or its segment lost, and the record watch with it.
    }
  }

  /** The native side reported these and has dropped them. */
  notify(ids: readonly number[]): void {
    for (const id of ids) {
      const callback = this.#callbacks.get(id)
      this.#callbacks.delete(id)
      callback?.()
    }
  }

  lose(): void {}

  restart(): void {
    this.#callbacks.clear()
  }

  reject(): void {}

  close(): void {}
}
