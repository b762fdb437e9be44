/**
 * Diagnostics channels for tracing tools. A channel without subscribers costs one check; hits have no channel.
 *
 * The native side reports `evict`, `expire`, `repaired`, `resized`, `damage` found by a repair, and a `detached` that no
 * call noticed. A cache asks for these reports if it is opened while a channel of them has subscribers, or when it gets a
 * listener; for `evict` and `expire`, the next `set` asks as well.
 */
import { channel } from 'node:diagnostics_channel'
import type { Channel } from 'node:diagnostics_channel'
import type { Key } from '../arguments/keys.ts'

/** The message that the subscribers of a channel get. Fields that a channel does not use are absent. */
export interface CacheMessage {
  /** The name of the segment. */
  readonly name: string
  /** The namespace; empty for the root. */
  readonly namespace: string
  readonly key?: Key
  readonly prefix?: Key
  readonly tags?: readonly string[]
  /** Whether a `set` was stored, a `delete` found an entry, or the result of a `load` was kept. */
  readonly done?: boolean
  /**
   * The number of entries that a `delete` by prefix found, that a repair dropped, or that were evicted without their
   * keys.
   */
  readonly count?: number
  readonly error?: unknown
  /** The sizes before and after a resize, in bytes. */
  readonly from?: number
  readonly to?: number
}

/** The channels; the prefix of their names is `cache-machine:`. */
export const channels = {
  open: channel('cache-machine:open'),
  close: channel('cache-machine:close'),
  miss: channel('cache-machine:miss'),
  set: channel('cache-machine:set'),
  /**
   * A loader of this process ended; `error` is what it threw, also for background loads, which report errors nowhere
   * else.
   */
  load: channel('cache-machine:load'),
  /** A loader of this process brought a value that cannot be stored; `error` says why. */
  unstored: channel('cache-machine:unstored'),
  delete: channel('cache-machine:delete'),
  clear: channel('cache-machine:clear'),
  invalidate: channel('cache-machine:invalidate'),
  evict: channel('cache-machine:evict'),
  expire: channel('cache-machine:expire'),
  /** A read met an entry of another codec and became a miss. */
  mismatch: channel('cache-machine:mismatch'),
  damage: channel('cache-machine:damage'),
  repaired: channel('cache-machine:repaired'),
  detached: channel('cache-machine:detached'),
  /** The segment was resized, by any process. */
  resized: channel('cache-machine:resized'),
} as const satisfies Record<string, Channel>

/** Whether a channel of removals has subscribers. */
export function hasRemovalSubscribers(): boolean {
  return channels.evict.hasSubscribers || channels.expire.hasSubscribers
}

/** Whether a channel has subscribers that the native side reports to. */
export function hasNoticeSubscribers(): boolean {
  const { damage, repaired, detached, resized } = channels
  return hasRemovalSubscribers() || [damage, repaired, detached, resized].some(({ hasSubscribers }) => hasSubscribers)
}
