/**
 * Methods for many keys: one native call for each `MAX_BATCH` keys.
 *
 * A native call for many reports undefined for a key that needs a call of its own, for example after an error. That key
 * is then handled by the method for one key, which repeats or throws.
 */
import { types } from 'node:util'
import { wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { SET_MANY, resolveSet } from '../arguments/options.ts'
import type { ResolvedSet, SetOptions } from '../arguments/options.ts'
import type { Duration } from '../arguments/units.ts'
import { escapedText, isBytes } from '../codec/codec.ts'
import { entryTooLarge, invalid } from '../errors.ts'
import { Kind, MAX_BATCH } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Connection } from '../segment/connection.ts'
import { channels, hasRemovalSubscribers } from '../segment/diagnostics.ts'
import type { Reading } from './reading.ts'
import type { Item } from './store.ts'
import type { Writing } from './writing.ts'

/** An item that is ready to be stored with others. */
interface Prepared {
  readonly key: RawKey
  readonly payload: unknown
  readonly kind: number
  readonly set: ResolvedSet
}

/** The methods for many keys of one cache. */
export class Batches<V> {
  readonly #connection: Connection
  readonly #reading: Reading<V>
  readonly #writing: Writing<V>

  constructor(connection: Connection, reading: Reading<V>, writing: Writing<V>) {
    this.#connection = connection
    this.#reading = reading
    this.#writing = writing
  }

  getMany(keys: Iterable<Key>): (V | undefined)[] {
    return inChunks(listOf(keys), (chunk) => this.#reading.getMany(chunk))
  }

  setMany(items: Iterable<Item<V>>, options: Duration | Omit<SetOptions, 'if'>): boolean[] {
    const common = resolveSet(options, this.#writing.defaultTtl, 0, SET_MANY)
    const { maxEntrySize } = this.#connection.live().dimensions()
    const prepared = Array.from(listOf(items), (item) => this.#prepare(item, common, maxEntrySize))
    return inChunks(prepared, (chunk) => this.#store(chunk))
  }

  deleteMany(keys: Iterable<Key>): boolean[] {
    return inChunks(listOf(keys), (chunk) => {
      const deleted = this.#connection.live().deleteMany(chunk)
      return chunk.map((key, i) => deleted?.[i] ?? this.#writing.delete(key, 0))
    })
  }

  hasMany(keys: Iterable<Key>): boolean[] {
    return inChunks(listOf(keys), (chunk) => {
      const found = this.#connection.live().hasMany(chunk)
      return chunk.map((key, i) => found?.[i] ?? this.#reading.has(key))
    })
  }

  #prepare(item: Item<V>, common: ResolvedSet, maxEntrySize: number): Prepared {
    if (!Array.isArray(item)) throw invalid('an item must be [key, value] or [key, value, options]', item)
    const [given, value, own] = item as Item<V>
    const { encoder, defaultTtl } = this.#writing
    const set = own === undefined ? common : resolveSet(own, defaultTtl, 0, SET_MANY)
    const key = wholeKey(given)
    let payload = this.#writing.encodeFor(key, value)
    let { kind } = encoder
    if (kind === Kind.String && isSuspect(payload as string)) {
      // The native side would leave this item to a call of its own, after storing later items, also of the same key.
      payload = escapedText(payload as string)
      kind = Kind.Json
    }
    // The next value is encoded into the same bytes, and a custom codec may do the same.
    if (kind >= Kind.Structured && isBytes(kind)) payload = Uint8Array.from(payload as Uint8Array)
    if (!fits(maxEntrySize, key, payload, set.tags.length)) {
      throw entryTooLarge(given, maxEntrySize)
    }
    return { key, payload, kind, set }
  }

  #store(chunk: readonly Prepared[]): boolean[] {
    if (hasRemovalSubscribers()) this.#connection.watchRemovals()
    const isPlain = chunk.every(({ set }) => !set.isOver && set.stale === 0 && set.tags.length === 0 && set.flags === 0)
    const stored = isPlain
      ? this.#connection.live().setMany(
          chunk.map((item) => item.key),
          chunk.map((item) => item.payload),
          Uint8Array.from(chunk, (item) => item.kind),
          Float64Array.from(chunk, (item) => item.set.ttl),
        )
      : undefined
    // The last value of a repeated key must win, so all items after a repeated one are stored again as well.
    const repeated = new Set<string>()
    return chunk.map((item, i) => {
      const done = stored?.[i]
      if (stored !== undefined && done === undefined) repeated.add(textOf(item.key))
      if (done === undefined || (repeated.size > 0 && repeated.has(textOf(item.key)))) {
        return this.#writing.store(item.key, item.payload, item.kind, item.set)
      }
      if (channels.set.hasSubscribers) this.#connection.reports.set(item.key, done)
      return done
    })
  }
}

function inChunks<T, R>(all: readonly T[], run: (chunk: readonly T[]) => R[]): R[] {
  if (all.length <= MAX_BATCH) return run(all)
  const results: R[] = []
  for (let start = 0; start < all.length; start += MAX_BATCH) {
    for (const result of run(all.slice(start, start + MAX_BATCH))) results.push(result)
  }
  return results
}

/**
 * An array without holes. Throws unless `items` is an iterable object; a string is none, because its characters are not
 * keys.
 */
function listOf<T>(items: Iterable<T>): readonly T[] {
  if (typeof items === 'object' && items !== null && Symbol.iterator in items) return [...items]
  throw invalid('a method for many keys takes an array or another iterable', items)
}

/** A string that is equal for equal keys only. */
function textOf(key: RawKey): string {
  return Buffer.from(key as string).toString('latin1')
}

/** Whether the UTF-8 of `text` has U+FFFD, its own or that of a lone surrogate. */
function isSuspect(text: string): boolean {
  return text.includes('\uFFFD') || !text.isWellFormed()
}

/** Whether an entry is at most `limit` bytes. Counts bytes exactly only for entries near the limit. */
function fits(limit: number, key: RawKey, payload: unknown, tags: number): boolean {
  const value = typeof payload === 'string' || types.isUint8Array(payload) ? payload : ''
  const others = tags * 8 + 8
  if ((key.length + value.length) * 3 + others <= limit) return true
  return Buffer.byteLength(key) + Buffer.byteLength(value) + tags * 8 <= limit
}
