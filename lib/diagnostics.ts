/**
 * Diagnostics channels: what tracing tools subscribe to. Without a subscriber a channel costs one look at it, and the
 * hottest path, a hit, has none.
 *
 * The thing to get wrong: building a message before asking whether anybody wants it.
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
  /** How many entries a `delete` by prefix found, or a repair dropped. */
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
