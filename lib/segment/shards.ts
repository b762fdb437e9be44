/**
 * How the shards of a segment use their space. For the dashboard.
 */
import { fromNative } from '../errors.ts'
import { native } from '../engine/engine.ts'
import type { NativeShard } from '../native/addon.ts'
import { nativeHandles } from './handle.ts'

/** How the space of one shard is used. The numbers are read one by one, without a lock. */
export type ShardUse = Readonly<NativeShard>

/** The shards of the segment of an open cache. Throws the `CacheError`s of a read. */
export function shardsOf(cache: object): ShardUse[] {
  const handle = nativeHandles.get(cache)
  if (handle === undefined) throw new TypeError('not an open cache')
  try {
    return native.shards(handle.id)
  } catch (error) {
    throw fromNative(error)
  }
}
