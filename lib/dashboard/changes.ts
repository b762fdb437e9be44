/**
 * The changes that a dashboard with `write` makes.
 */
import type { Key } from '../arguments/keys.ts'
import { CacheError, invalid } from '../errors.ts'
import type { ViewedCache } from './source.ts'

/** What the page sends beside the segment and the namespace. */
export interface ChangeRequest {
  readonly text?: unknown
  readonly hex?: unknown
  readonly ttl?: unknown
  readonly tags?: unknown
  readonly mode?: unknown
}

/** The changes by name. Each returns what the page is told. */
export const CHANGES: Readonly<Record<string, (cache: ViewedCache, request: ChangeRequest) => object>> = {
  delete: (cache, request) => ({ done: cache.delete(keyOf(request)) }),

  /** A new lifetime in milliseconds; null: it does not expire. */
  ttl(cache, request) {
    const key = keyOf(request)
    if (request.ttl === null) return { done: cache.persist(key) }
    if (typeof request.ttl === 'number') return { done: cache.touch(key, request.ttl) }
    throw invalid('ttl must be milliseconds or null', request.ttl)
  },

  invalidate(cache, { tags, mode = 'remove' }) {
    if (!Array.isArray(tags) || tags.length === 0) throw invalid('tags must be a list of tags', tags)
    cache.invalidateTags(tags as string[], { mode: mode as 'remove' })
    return { done: true }
  },

  clear(cache) {
    cache.clear()
    return { done: true }
  },
}

/** The key of a request. Throws `ERR_INVALID_ARGUMENT`. */
export function keyOf({ text, hex }: { readonly text?: unknown; readonly hex?: unknown }): Key {
  if (typeof text === 'string') return text
  if (typeof hex === 'string' && /^(?:[0-9a-f]{2})+$/i.test(hex)) return Buffer.from(hex, 'hex')
  throw new CacheError('ERR_INVALID_ARGUMENT', 'the request names no key', {
    hint: 'Send text, or bytes as hexadecimal digits in hex.',
  })
}
