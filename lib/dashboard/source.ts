/**
 * What the dashboard gets from outside: segments, as narrow interfaces. Only the entry of the package and the command
 * open caches.
 */
import type { Entry, Key } from '../arguments/keys.ts'
import type { GetEntryOptions, StatsOptions } from '../arguments/options.ts'
import type { MessageBus, TaggedStore } from '../cache/store.ts'
import type { Held } from '../segment/holders.ts'
import type { SegmentInfo } from '../segment/segments.ts'
import type { ShardUse } from '../segment/shards.ts'
import type { Stats } from '../segment/stats.ts'

/** What the dashboard needs of a cache. It is opened without creating its segment, strict, and without near copies. */
export interface ViewedCache extends TaggedStore, Pick<MessageBus, 'subscribe'> {
  getEntry(key: Key, options?: GetEntryOptions): Entry | undefined
  persist(key: Key): boolean
  stats(options?: StatsOptions): Stats
  namespace<W = unknown>(name: string): ViewedCache & TaggedStore<W>
}

/** Where the dashboard finds segments. */
export interface DashboardSource {
  readonly version: string
  /** The only segment that may be viewed; undefined: all of them. */
  readonly only: string | undefined
  /** The version of the application with the keys that the page shows first; undefined: the key space without one. */
  readonly appVersion: string | undefined
  list(): SegmentInfo[]
  inspect(name: string): SegmentInfo | undefined
  /** With the keys of a version of the application. Throws `ERR_NO_SEGMENT` if there is no segment. */
  open(name: string, appVersion: string | undefined): ViewedCache
  heldIn(cache: ViewedCache): Held[]
  shardsOf(cache: ViewedCache): ShardUse[]
}
