/**
 * Lifetimes of hosts: relative ones in seconds or milliseconds, and what is no lifetime for the cache.
 */
import type { Key } from '../../arguments/keys.ts'
import type { CacheStore } from '../../cache/store.ts'

/** Seconds as milliseconds. A lifetime that the host leaves out stays undefined. */
export function secondsToMs(seconds: number | null | undefined): number | undefined {
  return typeof seconds === 'number' ? seconds * 1000 : undefined
}

/**
 * Stores a value under a lifetime. One that is over deletes the entry, and counts as stored: there is no value
 * afterwards.
 *
 * @param ms Milliseconds; undefined: the `ttl` of the cache; Infinity: no expiry.
 * @param tags Tags of the entry, if the store knows tags.
 * @returns False if there was no room.
 */
export function storeFor(
  space: CacheStore,
  key: Key,
  value: unknown,
  ms: number | undefined,
  tags?: readonly string[],
): boolean {
  if (ms !== undefined && ms <= 0) {
    space.delete(key)
    return true
  }
  return space.set(key, value, { ttl: ms, tags })
}

/**
 * Stores a value as `storeFor`, for hosts with a `set` that has no answer: undefined deletes the entry, and so does a
 * value without room, since the former one must not stay.
 */
export function replaceFor(space: CacheStore, key: Key, value: unknown, ms: number | undefined): void {
  if (value === undefined || !storeFor(space, key, value, ms)) space.delete(key)
}

/** The moment at which an entry expires, in epoch milliseconds; undefined: never, or there is no entry. */
export function momentOf(space: CacheStore, key: string): number | undefined {
  const left = space.ttl(key)
  return left === undefined || left === Number.POSITIVE_INFINITY ? undefined : Date.now() + left
}
