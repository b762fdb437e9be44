/**
 * The locks, semaphores and leaderships of a cache, with the processes that hold them and wait for them. For the
 * program `cache-machine`.
 */
import { givenKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { fromNative, isDetached } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { Keyspace } from '../native/layout.ts'
import { nativeHandles } from './handle.ts'

/** What living processes hold or wait for. Events, barriers and conditions have only waiters. */
export interface Held {
  readonly kind: 'lock' | 'semaphore' | 'leadership' | 'event' | 'barrier' | 'condition'
  readonly key: Key
  /** With the time until each permit ends; Infinity: as long as its process lives. */
  readonly holders: readonly { readonly pid: number; readonly remaining: Milliseconds }[]
  /** The processes of the waiters, in the order of the queue. */
  readonly waiters: readonly number[]
}

const KINDS = [
  ['lock', Keyspace.Locks],
  ['semaphore', Keyspace.Semaphores],
  ['leadership', Keyspace.Elections],
  ['event', Keyspace.Events],
  ['barrier', Keyspace.Barriers],
  ['condition', Keyspace.Conditions],
] as const

/** Those of the namespace of an open cache; none if its segment was destroyed. Reads without a lock. */
export function heldIn(cache: object): Held[] {
  const handle = nativeHandles.get(cache)
  if (handle === undefined) throw new TypeError('not an open cache')
  try {
    return KINDS.flatMap(([kind, keyspace]) =>
      native.permitsHeld(handle.id, keyspace).map((held) => ({ ...held, kind, key: givenKey(held.key) })),
    )
  } catch (error) {
    if (isDetached(error)) return []
    throw fromNative(error)
  }
}
