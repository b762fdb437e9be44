/**
 * Records: what locks, flights, limiters and metrics keep. A record is replaced as a whole, so a change that has no room
 * leaves it as it was.
 */
import { RECORD } from './entry.ts'
import type { Space } from './entry.ts'
import { noSpace } from './failure.ts'
import type { StoredKey } from './keys.ts'
import type { Store } from './store.ts'

/** What becomes of a record. `words`: its size in the native engine, in 8 bytes. */
export type Becomes<T> =
  | { readonly keep: true }
  | { readonly remove: true }
  | { readonly record: T; readonly words: number; readonly ttl: number }

export const KEEP = { keep: true } as const
export const REMOVE = { remove: true } as const

/** The record of a key; undefined: none. */
export function readRecord<T>(store: Store, space: Space, text: string): T | undefined {
  return store.fresh(space, text)?.value as T | undefined
}

/** Replaces, removes or keeps a record. */
export function storeRecord<T>(store: Store, space: Space, key: StoredKey, becomes: Becomes<T>): void {
  if ('keep' in becomes) return
  if ('remove' in becomes) {
    const entry = space.entries.get(key.text)
    if (entry !== undefined) store.delete(entry)
    return
  }
  const { record, words, ttl } = becomes
  const version = store.write(space, key, {
    value: record,
    length: words * 8,
    kind: RECORD,
    ttl,
    stale: 0,
    tags: [],
    keepTtl: false,
    keepTags: false,
  })
  if (version === undefined) throw noSpace("the shard is full and eviction is 'none'")
}
