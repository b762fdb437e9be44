/** The change stream of `watch`: what it selects, and its items as users see them. */
import { accepted } from '../arguments/option-names.ts'
import type { AcceptedOptions } from '../arguments/option-names.ts'
import { checkTag } from '../arguments/options.ts'
import { givenKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { invalid } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { What } from '../native/layout.ts'
import type { NativeStreamItem } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { NativeCalls } from '../segment/calls.ts'
import type { StreamKind } from './streams.ts'

/**
 * Selects the changes of `watch`. All given conditions must hold; without any, every change of the namespace is
 * selected.
 */
export interface WatchFilter {
  /** Only this key. */
  key?: Key | undefined
  /** Only keys that start with this prefix. */
  prefix?: Key | undefined
  /** Only entries that have at least one of these tags; at most 128. */
  tags?: readonly string[] | undefined
}

/** A change of an entry, or of a whole namespace. It has no value: `get` returns the latest. */
export interface Change {
  /**
   * - `set`: a value was written, by any method.
   * - `delete`: a caller deleted or took the entry. `evict`: it was evicted. `expire`: it expired, reported when it is
   *   swept.
   * - `clear`: all entries of the namespace were deleted. Several clears at once may be reported as one.
   * - `invalidate`: tags were invalidated; without `tags`, anything may have changed.
   */
  readonly type: 'set' | 'delete' | 'evict' | 'expire' | 'clear' | 'invalidate'
  /** The key of the entry; undefined for `clear` and `invalidate`. */
  readonly key: Key | undefined
  /** The version of the entry that was written or removed; 0 for `clear` and `invalidate`. */
  readonly version: number
  /** Those of the watched tags that the entry has or that were invalidated; undefined if no tags are watched. */
  readonly tags: readonly string[] | undefined
  /**
   * The number of changes before this one that were lost, usually 0. Exact if this consumer was too slow. If the
   * process was too slow, or another process died, it counts all changes that the filter could have selected.
   */
  readonly lost: number
}

export const WATCH_FILTER: AcceptedOptions = accepted<WatchFilter>('the filter of watch', {
  key: true,
  prefix: true,
  tags: true,
})

const MAX_TAGS = 128

const TYPES: Readonly<Record<number, Change['type']>> = {
  [What.Set]: 'set',
  [What.Delete]: 'delete',
  [What.Evict]: 'evict',
  [What.Expire]: 'expire',
  [What.Clear]: 'clear',
  [What.Invalidate]: 'invalidate',
}

/** Anything may have changed. */
const ANY_CHANGE: NativeStreamItem = { what: What.Invalidate, version: 0, tags: [], kind: 0, lost: 0 }

/** A watch with a checked filter. */
export class Watch implements StreamKind<Change> {
  readonly afterLoss: NativeStreamItem = ANY_CHANGE
  readonly #calls: NativeCalls
  readonly #key: RawKey | undefined
  readonly #prefix: RawKey
  readonly #tags: string[]

  constructor(calls: NativeCalls, key: RawKey | undefined, prefix: RawKey, tags: string[]) {
    this.#calls = calls
    this.#key = key
    this.#prefix = prefix
    this.#tags = tags
  }

  start(buffer: number): number {
    return this.#calls.write((id) => native.watchStart(id, this.#key, this.#prefix, this.#tags, buffer))
  }

  read({ what, key, version, tags: positions, lost }: NativeStreamItem): Change | undefined {
    const type = TYPES[what]
    if (type === undefined) return undefined
    const isGeneral = type === 'clear' || type === 'invalidate'
    const tags = positions.map((position) => this.#tags[position] as string)
    return {
      type,
      key: isGeneral || key === undefined ? undefined : givenKey(key),
      version,
      tags: this.#tags.length === 0 || (isGeneral && tags.length === 0) ? undefined : tags,
      lost,
    }
  }
}

/** Tags to watch. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveWatchedTags(tags: unknown): string[] {
  if (tags === undefined) return []
  if (!Array.isArray(tags) || tags.length === 0 || tags.length > MAX_TAGS) {
    throw invalid(`tags must be an array of 1 to ${MAX_TAGS} strings`, tags)
  }
  return tags.map(checkTag)
}
