/**
 * The place of Next in a cache: pages of all builds, and the times of tags, which all builds share.
 *
 * Nothing here throws into a request. Where the segment cannot be opened, read or written, a read is a miss and a write
 * is left out, and a process warning says so, at most once a minute for each cause. A revalidation that could not be
 * written is kept, and every read is a miss until it is written. `next build` never opens the cache.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { accepted, checkOptions } from '../../arguments/option-names.ts'
import { parseBytes } from '../../arguments/units.ts'
import type { Bytes, Milliseconds } from '../../arguments/units.ts'
import { CacheError, invalid } from '../../errors.ts'
import { BuildMemory } from './build-memory.ts'
import type { Durations } from './next-types.ts'
import { reporter } from './reports.ts'
import type { OnError } from './reports.ts'
import { checkStore } from './space.ts'
import { MIN_RECORDS, TagTimes } from './tag-times.ts'
import type { Begun, VersionedStore } from './tag-times.ts'
import { isTrouble } from './trouble.ts'

/** What both handlers of Next need of a cache. */
export type NextCache<V = unknown> = VersionedStore<V>

/** Options of `cacheHandler` and `cacheHandlers`. Both take the same ones, so that they share the times of tags. */
export interface NextOptions {
  /** The namespace of the cache. Two applications in one cache need different ones. Default: `next`. */
  namespace?: string | undefined
  /**
   * Maximum size of what is remembered of revalidated tags, some 190 bytes each. If it is full, all pages are rendered
   * anew once. At least 256 KiB, of which other data never take any. Default: 4 MiB.
   */
  tagsSize?: Bytes | undefined
}

export interface Spaces {
  readonly pages: NextCache
  readonly times: TagTimes
}

interface Revalidation {
  readonly tags: readonly string[]
  readonly expire: number
}

const OPTIONS = accepted<NextOptions>('the handlers for Next', { namespace: true, tagsSize: true })
const DEFAULT_TAGS_SIZE = 4 * 2 ** 20
/** Milliseconds between two attempts to open a cache. */
const REOPEN_AFTER = 5000
/** Attempts to write a revalidation while a suspended process has the lock, and milliseconds between them. */
const ATTEMPTS = 10
const ATTEMPT_AFTER = 100
/** So many revalidations are kept until they can be written; more become one of everything. */
const MAX_UNWRITTEN = 1000

export class NextPlace {
  readonly #adapter: string
  readonly #source: NextCache | (() => NextCache)
  readonly #namespace: string
  readonly #tagsSize: number
  readonly #report: OnError
  #spaces: Spaces | undefined
  #opensAt = 0
  #unwritten: Revalidation[] = []
  #endsAll = false
  /** What `next build` keeps, in each of its processes. */
  readonly memory = new BuildMemory()
  /** The keys of replaced files, as far as this process knows: at most as many as the build has files. */
  readonly replaced = new Set<string>()

  constructor(adapter: string, source: NextCache | (() => NextCache), options: NextOptions = {}) {
    checkOptions(options, OPTIONS)
    if (typeof source !== 'function') checkStore(adapter, source)
    const { namespace = 'next', tagsSize = DEFAULT_TAGS_SIZE } = options
    if (typeof namespace !== 'string') throw invalid('namespace must be a string', namespace)
    this.#adapter = adapter
    this.#report = reporter((error) => warn(adapter, error))
    this.#source = source
    this.#namespace = namespace
    this.#tagsSize = parseBytes(tagsSize)
    if (this.#tagsSize >= MIN_RECORDS) return
    throw invalid("tagsSize must be bytes or a size such as '8mb', and at least 256 KiB", tagsSize)
  }

  /** Whether `next build` runs, in any of its processes. */
  get isBuild(): boolean {
    return process.env['NEXT_PHASE'] === 'phase-production-build'
  }

  /** The result of `work`, or undefined in trouble. */
  attempt<T>(work: (spaces: Spaces) => T): T | undefined {
    try {
      const spaces = this.#opened()
      if (spaces === undefined) return undefined
      this.#writeRevalidations(spaces)
      return work(spaces)
    } catch (error) {
      this.announce(error)
      return undefined
    }
  }

  /** For what begins now. In trouble as for what is older than all revalidations, and so for a build. */
  born(): Begun {
    const begun = this.isBuild ? undefined : this.attempt(({ times }) => times.born())
    return begun ?? { seq: 0, clock: 0 }
  }

  /**
   * Ends what has one of these tags and is older than this moment. Resolves when all processes see it.
   *
   * @param expire As in `TagTimes`.
   */
  async revalidate(tags: readonly string[], expire = 0): Promise<void> {
    if (this.isBuild || tags.length === 0) return
    if (this.#unwritten.length < MAX_UNWRITTEN) this.#unwritten.push({ tags, expire })
    else this.#endsAll = true
    for (let left = ATTEMPTS; left > 0; left--) {
      try {
        const spaces = this.#opened()
        if (spaces !== undefined) this.#writeRevalidations(spaces)
        return
      } catch (error) {
        if (left > 1 && error instanceof CacheError && error.code === 'ERR_BUSY') await delay(ATTEMPT_AFTER)
        else return this.announce(error)
      }
    }
  }

  /**
   * Stores a value. False if there is no room for it, or if it is larger than an entry can be, which is announced.
   *
   * @throws {CacheError} For trouble with the segment.
   */
  write(pages: NextCache, key: string, value: unknown, ttl: Milliseconds = Infinity): boolean {
    try {
      return pages.set(key, value, ttl)
    } catch (error) {
      if (isTrouble(error)) throw error
      this.announce(error)
      return false
    }
  }

  /** Warns of each kind of trouble, at most once a minute. */
  announce(error: unknown): void {
    // A cache that a function opens is opened again.
    const isClosed = (error as { code?: unknown } | null)?.code === 'ERR_CLOSED'
    if (isClosed && typeof this.#source === 'function') this.#spaces = undefined
    this.#report(error)
  }

  #opened(): Spaces | undefined {
    if (this.#spaces !== undefined) return this.#spaces
    if (Date.now() < this.#opensAt) return undefined
    this.#opensAt = Date.now() + REOPEN_AFTER
    const cache = typeof this.#source === 'function' ? this.#source() : this.#source
    checkStore(this.#adapter, cache)
    // Pages have bytes and Maps, whatever the codec of the cache, and live until they are evicted.
    const pages = cache.namespace(this.#namespace, { codec: 'auto', ttl: Infinity, strict: false })
    this.#spaces = { pages, times: new TagTimes(pages, this.#tagsSize) }
    this.#opensAt = 0
    return this.#spaces
  }

  #writeRevalidations({ times }: Spaces): void {
    while (this.#unwritten.length > 0) {
      const { tags, expire } = this.#unwritten[0] as Revalidation
      times.revalidate(tags, expire)
      this.#unwritten.shift()
    }
    if (this.#endsAll) times.endAll()
    this.#endsAll = false
  }
}

function warn(adapter: string, error: unknown): void {
  const { code, message = String(error), hint } = error as { code?: string; message?: string; hint?: string }
  const consequence = `${adapter} of cache-machine/next: Next goes on without the cache where it fails`
  process.emitWarning(`${consequence}: ${message}${code === undefined ? '' : ` (${code})`}`, {
    type: 'CacheMachineWarning',
    code: 'CACHE_MACHINE_NEXT',
    ...(hint !== undefined && { detail: hint }),
  })
}

/** The end of what has been revalidated, as `TagTimes` takes it. */
export function expireOf(durations: Durations | undefined): number {
  return durations === undefined ? 0 : (durations.expire ?? Infinity)
}
