/**
 * The open handles of this thread, and what each holds: permits, tickets and flights. They are given back when it is
 * closed.
 *
 * The ids are apart from those of the native engine, so an id tells its engine.
 */
import { closed, invalid } from './failure.ts'
import { FIRST_ID } from './marks.ts'
import type { Listener } from './notices.ts'
import type { Segment } from './segment.ts'

type Holding = 'permit' | 'ticket' | 'turn' | 'item' | 'flight'

/** One open handle. Its raw calls refer to it, so a closed one stays in memory, without its segment. */
export class Handle {
  /** Undefined after `close`. */
  segment: Segment | undefined
  readonly namespace: number
  /** As in `Space`. */
  readonly version: number
  listener: Listener | undefined
  hasView = false
  readonly #held = new Map<string, () => void>()

  constructor(segment: Segment, namespace: number, version: number) {
    this.segment = segment
    this.namespace = namespace
    this.version = version
  }

  /** Notes something that is to be given back. */
  hold(what: Holding, purpose: number, key: string, number: number, giveBack: () => void): void {
    this.#held.set(`${what}.${purpose}.${number}.${key}`, giveBack)
  }

  letGo(what: Holding, purpose: number, key: string, number: number): void {
    this.#held.delete(`${what}.${purpose}.${number}.${key}`)
  }

  /** Gives everything back. */
  release(): void {
    const { segment } = this
    if (segment === undefined) return
    this.segment = undefined
    if (this.listener !== undefined) segment.forget(this.listener)
    for (const giveBack of this.#held.values()) giveBack()
    this.#held.clear()
  }
}

let lastId = FIRST_ID
const handles = new Map<number, Handle>()

export function addHandle(handle: Handle): number {
  handles.set(++lastId, handle)
  return lastId
}

/** A number for a region's handle. */
export function nextId(): number {
  return ++lastId
}

export function findHandle(id: number): Handle | undefined {
  return handles.get(id)
}

/** Removes a handle; undefined: it was closed before. */
export function removeHandle(id: number): Handle | undefined {
  const handle = handles.get(id)
  handles.delete(id)
  return handle
}

/** Whether an open handle has a view of this segment. */
export function isViewed(segment: Segment): boolean {
  for (const handle of handles.values()) if (handle.segment === segment && handle.hasView) return true
  return false
}

/** Runs `run` with an open handle on a segment that still exists. */
export function withHandle<T>(id: number, run: (segment: Segment, handle: Handle) => T): T {
  const handle = handles.get(id)
  const segment = handle?.segment
  if (handle === undefined || segment === undefined) throw closed('cache')
  segment.check()
  return run(segment, handle)
}

/** The same with its listener. */
export function withListener<T>(id: number, run: (segment: Segment, listener: Listener, handle: Handle) => T): T {
  return withHandle(id, (segment, handle) => {
    if (handle.listener === undefined) throw invalid('the handle has no notifier')
    return run(segment, handle.listener, handle)
  })
}

/** Milliseconds until a deadline; Infinity without one. */
export function remaining({ store }: Segment, deadline: number): number {
  return deadline === 0 ? Number.POSITIVE_INFINITY : Math.max(0, deadline - store.now())
}
