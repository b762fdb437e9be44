/**
 * Diagnostics channels: what tracing tools subscribe to. Without a subscriber a channel costs one look at it, and the
 * hottest path, a hit, has none.
 *
 * `evict` and `expire`, `repaired`, `damage` found by a repair, and a `detached` that nobody's call noticed are told by the
 * native side, which must be asked: by a cache that is opened while somebody is subscribed, or that has a listener, and for
 * `evict` and `expire` also by the next `set`. The thing to get wrong: building a message before asking whether anybody wants
 * it.
 */
import { channel } from 'node:diagnostics_channel'
import type { Channel } from 'node:diagnostics_channel'
import type { Key } from './values.ts'

/** What a channel's subscribers get. Fields that do not concern it are absent. */
export interface CacheMessage {
  /** The segment's name. */
  readonly name: string
  /** The namespace; empty for the root. */
  readonly namespace: string
  readonly key?: Key
  readonly prefix?: Key
  readonly tags?: readonly string[]
  /** Whether a `set` was stored, a `delete` found something, or what a `load` brought was kept. */
  readonly done?: boolean
  /** How many entries a `delete` by prefix found, a repair dropped, or were evicted at once and cannot be named. */
  readonly count?: number
  readonly error?: unknown
}

/** The channels by what they tell; `cache-machine:` precedes their names. */
export const channels = {
  open: channel('cache-machine:open'),
  close: channel('cache-machine:close'),
  miss: channel('cache-machine:miss'),
  set: channel('cache-machine:set'),
  /** A loader of this process is done; `error` is what it threw, also in the background, where nobody else hears of it. */
  load: channel('cache-machine:load'),
  delete: channel('cache-machine:delete'),
  clear: channel('cache-machine:clear'),
  invalidate: channel('cache-machine:invalidate'),
  evict: channel('cache-machine:evict'),
  expire: channel('cache-machine:expire'),
  damage: channel('cache-machine:damage'),
  repaired: channel('cache-machine:repaired'),
  detached: channel('cache-machine:detached'),
} as const satisfies Record<string, Channel>

/** Whether anybody wants to know of entries that went. */
export function hearsOfGone(): boolean {
  return channels.evict.hasSubscribers || channels.expire.hasSubscribers
}

/** Whether anybody wants to know what only the native side can tell. */
export function hearsOfNotices(): boolean {
  const { damage, repaired, detached } = channels
  return hearsOfGone() || damage.hasSubscribers || repaired.hasSubscribers || detached.hasSubscribers
}
