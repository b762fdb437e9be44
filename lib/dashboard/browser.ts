/**
 * The key browser: pages of keys, and one entry. Reads leave no trace: they count as no hit, and mark no entry as used.
 *
 * A walk over the index has no order and no position that a page could name, so a walk stays open between two pages. Each
 * page takes a bounded number of keys and a bounded time, and the event loop turns about once a millisecond.
 */
import { randomUUID } from 'node:crypto'
import type { Key } from '../arguments/keys.ts'
import type { ScanOptions } from '../arguments/options.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { CacheError } from '../errors.ts'
import { keyForm, valueForm } from './forms.ts'
import type { KeyForm, ValueForm } from './forms.ts'
import type { ViewedCache } from './source.ts'

const PAGE = 100
const MAX_TIME: Milliseconds = 500
/** Maximum number of open walks. The oldest is given up for a new one. */
const MAX_WALKS = 32

/** A line of a page. */
export interface KeyLine extends KeyForm {
  /** Undefined if a codec of the application has written the value. */
  readonly size?: number
  readonly version?: number
  /** Epoch milliseconds; null: it does not expire. */
  readonly expiresAt?: number | null
}

/** A page of keys. */
export interface KeyPage {
  readonly keys: readonly KeyLine[]
  /** The walk that the next page continues; null at the end. */
  readonly walk: string | null
}

/** An entry, as the page shows it. */
export interface EntryForm extends KeyForm {
  readonly value: ValueForm
  readonly version: number
  readonly createdAt: number
  readonly expiresAt: number | null
  readonly size: number
  readonly stale: boolean
}

interface OpenWalk {
  readonly cache: ViewedCache
  readonly keys: AsyncIterator<Key, undefined>
}

export class Browser {
  readonly #walks = new Map<string, OpenWalk>()

  /** The first page. */
  begin(cache: ViewedCache, options: ScanOptions): Promise<KeyPage> {
    return this.#page({ cache, keys: cache.keys(options)[Symbol.asyncIterator]() })
  }

  /** The page after that which named the walk. Throws `ERR_INVALID_ARGUMENT` if the walk was given up. */
  next(id: string): Promise<KeyPage> {
    const walk = this.#walks.get(id)
    this.#walks.delete(id)
    if (walk !== undefined) return this.#page(walk)
    throw new CacheError('ERR_INVALID_ARGUMENT', 'the search is over', { hint: 'Search again.' })
  }

  async #page(walk: OpenWalk): Promise<KeyPage> {
    const keys: KeyLine[] = []
    const end = performance.now() + MAX_TIME
    while (keys.length < PAGE && performance.now() < end) {
      const { value: key, done } = await walk.keys.next()
      if (done) return { keys, walk: null }
      const line = lineOf(walk.cache, key)
      if (line !== undefined) keys.push(line)
    }
    return { keys, walk: this.#keep(walk) }
  }

  #keep(walk: OpenWalk): string {
    const [oldest] = this.#walks.keys()
    if (this.#walks.size >= MAX_WALKS && oldest !== undefined) this.#walks.delete(oldest)
    const id = randomUUID()
    this.#walks.set(id, walk)
    return id
  }
}

/** Undefined: the entry is gone. */
function lineOf(cache: ViewedCache, key: Key): KeyLine | undefined {
  try {
    const entry = cache.getEntry(key, { peek: true, collections: true })
    if (entry === undefined) return undefined
    const { size, version, expiresAt = null } = entry
    return { ...keyForm(key), size, version, expiresAt }
  } catch (error) {
    if (isUnreadable(error)) return keyForm(key)
    throw error
  }
}

/** The entry of a key; undefined without one. Throws `ERR_CODEC_MISMATCH` for a value of a codec of the application. */
export function entryOf(cache: ViewedCache, key: Key): EntryForm | undefined {
  const entry = cache.getEntry(key, { peek: true, collections: true, allowStale: true })
  if (entry === undefined) return undefined
  const { value, version, createdAt, expiresAt = null, size, stale } = entry
  return { ...keyForm(key), value: valueForm(value), version, createdAt, expiresAt, size, stale }
}

function isUnreadable(error: unknown): boolean {
  return error instanceof CacheError && (error.code === 'ERR_CODEC_MISMATCH' || error.code === 'ERR_SEGMENT_CORRUPT')
}
