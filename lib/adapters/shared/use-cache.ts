/**
 * The results of functions with `use cache`: bytes with lifetimes and tags.
 *
 * A result comes as a stream that may still be written. Readers of this process wait for its end; others do not see it
 * before.
 */
import { createHash } from 'node:crypto'
import { MAX_DURATION } from '../../arguments/units.ts'
import { expireOf } from './next-place.ts'
import type { NextPlace } from './next-place.ts'
import type { CacheEntry, Durations, UseCacheHandler } from './next-types.ts'
import { monotonic } from './tag-times.ts'
import type { Begun } from './tag-times.ts'

/** An entry as it is stored. */
interface Kept extends Omit<CacheEntry, 'value'> {
  readonly bytes: Buffer
  readonly born: Begun
}

export function useCacheHandler(place: NextPlace): UseCacheHandler {
  const pending = new Map<string, Promise<void>>()
  return {
    async get(key, softTags = []) {
      await pending.get(key)
      const id = idOf(key)
      if (place.isBuild) return answerOf(place.memory.get(id) as Kept | undefined, false)
      return place.attempt(({ pages, times }) => {
        const kept = pages.get(id) as Kept | undefined
        if (kept === undefined) return undefined
        const fate = times.fateOf(new Set([...kept.tags, ...softTags]), kept.born)
        return fate === 'dead' ? undefined : answerOf(kept, fate === 'stale')
      })
    },

    async set(key, entry) {
      const writing = write(place, key, entry)
      pending.set(key, writing)
      await writing
      if (pending.get(key) === writing) pending.delete(key)
    },

    /** All processes read the same times of tags, so none has to be fetched. */
    async refreshTags() {},

    /** Infinity: `get` takes the soft tags and judges them itself. */
    async getExpiration() {
      return Infinity
    },

    updateTags: (tags: string[], durations?: Durations) => place.revalidate(tags, expireOf(durations)),
    expireTags: (...tags: string[]) => place.revalidate(tags),

    /** Another process has revalidated them, for all. */
    async receiveExpiredTags() {},
  }
}

/** Stores an entry when it is complete. One that fails is not stored. */
async function write(place: NextPlace, key: string, pending: Promise<CacheEntry>): Promise<void> {
  const { seq } = place.born()
  try {
    const { value, ...entry } = await pending
    // The function began before this call.
    const age = Math.max(0, performance.timeOrigin + performance.now() - entry.timestamp)
    const born = { seq, clock: monotonic() - age }
    const chunks: Uint8Array[] = []
    for await (const chunk of value) chunks.push(chunk)
    keep(place, idOf(key), { ...entry, bytes: Buffer.concat(chunks), born })
  } catch {
    // Next has the error as well: the stream that failed is the one that it renders.
  }
}

function keep(place: NextPlace, id: string, kept: Kept): void {
  if (place.isBuild) return place.memory.set(id, kept, kept.bytes.byteLength)
  place.attempt(({ pages, times }) => {
    // Another process may have stored a result of after the revalidation already.
    if (times.fateOf(kept.tags, kept.born) === 'dead') return
    const ttl = Math.min(kept.timestamp + kept.expire * 1000 - Date.now(), MAX_DURATION)
    if (ttl <= 0 || !place.write(pages, id, kept, ttl)) pages.delete(id)
  })
}

function answerOf(kept: Kept | undefined, isStale: boolean): CacheEntry | undefined {
  if (kept === undefined) return undefined
  const { bytes, born: _, ...entry } = kept
  const value = new ReadableStream<Uint8Array>({
    start(controller) {
      if (bytes.byteLength > 0) controller.enqueue(new Uint8Array(bytes))
      controller.close()
    },
  })
  return { ...entry, ...(isStale && { revalidate: -1 }), value }
}

/** The key has the arguments of the function, and its build. */
function idOf(key: string): string {
  return `use-cache:${createHash('sha256').update(key).digest('base64url')}`
}
