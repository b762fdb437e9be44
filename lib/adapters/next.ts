/**
 * cache-machine/next: a cache as the `cacheHandler` and the `cacheHandlers` of Next 15 and 16, for several processes of
 * one host.
 *
 * `cacheHandler` keeps pages, routes, images and answers to `fetch`; `cacheHandlers` keeps results of functions with
 * `use cache`. What `revalidateTag`, `revalidatePath` and `updateTag` end is ended in all processes when they return.
 * Pages belong to the build that rendered them; revalidations hold for all builds. Trouble with the segment is a miss,
 * and never an error of a request.
 */
import { buildIdOf, isPrerendered, prerendered } from './shared/next-prerendered.ts'
import { boundedKey } from './shared/bounded-key.ts'
import { NextPlace, expireOf } from './shared/next-place.ts'
import type { NextCache, NextOptions, Spaces } from './shared/next-place.ts'
import type {
  CacheControl,
  CacheHandler,
  CachedValue,
  Durations,
  GetContext,
  HandlerContext,
  HandlerValue,
  SetContext,
  UseCacheHandler,
} from './shared/next-types.ts'
import type { Begun, Born, Fate } from './shared/tag-times.ts'
import { useCacheHandler } from './shared/use-cache.ts'

export type { NextCache, NextOptions } from './shared/next-place.ts'
export type * from './shared/next-types.ts'
export type { VersionedStore } from './shared/tag-times.ts'

/** The class that `cacheHandler` returns. Next makes an object for each request. */
export type CacheHandlerClass = new (context?: HandlerContext) => CacheHandler

/** A value as it is stored. */
interface Kept {
  readonly value: CachedValue | null
  readonly tags: readonly string[]
  readonly control: CacheControl | undefined
  readonly lastModified: number
  readonly born: Born
}

const TAGS_HEADER = 'x-next-cache-tags'

/**
 * The class for `cacheHandler` of the Next configuration: the default export of the file that it names.
 *
 * @param cache A cache, or a function that opens one. The function is not called by `next build`, and is called again
 *   after an error.
 * @param options See `NextOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
 * @example
 * export default cacheHandler(() => open({ name: 'shop', size: '256mb' }))
 */
export function cacheHandler(cache: NextCache | (() => NextCache), options?: NextOptions): CacheHandlerClass {
  const place = new NextPlace('cacheHandler', cache, options)
  return class SharedCacheHandler extends IncrementalHandler {
    constructor(context?: HandlerContext) {
      super(place, context)
    }
  }
}

/**
 * The object for an entry of `cacheHandlers` of the Next configuration: the default export of the file that it names.
 *
 * @param cache As of `cacheHandler`.
 * @param options See `NextOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
 * @example
 * export default cacheHandlers(() => open({ name: 'shop', size: '256mb' }))
 */
export function cacheHandlers(cache: NextCache | (() => NextCache), options?: NextOptions): UseCacheHandler {
  return useCacheHandler(new NextPlace('cacheHandlers', cache, options))
}

class IncrementalHandler implements CacheHandler {
  readonly #place: NextPlace
  readonly #context: HandlerContext
  readonly #prefix: string
  /** The beginning of the request: a revalidation during it may concern data that it has read before. */
  #born: Begun

  constructor(place: NextPlace, context: HandlerContext = {}) {
    this.#place = place
    this.#context = context
    this.#prefix = `${buildOf(context)}:`
    this.#born = place.born()
  }

  async get(key: string, context: GetContext = {}): Promise<HandlerValue | null> {
    const id = boundedKey(this.#prefix, key)
    if (this.#place.isBuild) return (this.#place.memory.get(id) as HandlerValue | undefined) ?? null
    // A read in trouble must not find an older page on the disk.
    const read = this.#place.attempt(({ pages }) => ({ kept: pages.get(id) as Kept | undefined }))
    const kept = read === undefined ? undefined : (read.kept ?? (await this.#seed(id, key, context)))
    if (kept === undefined) return null
    const { tags = [], softTags = [] } = context
    if ([...tags, ...softTags].some((tag) => this.#context.revalidatedTags?.includes(tag))) return null
    const all = new Set([...kept.tags, ...tags, ...softTags])
    if ('file' in kept.born) all.add(replacedTag(id))
    const fate = this.#place.attempt(({ times }) => times.fateOf(all, kept.born)) ?? 'dead'
    return fate === 'dead' ? null : answerOf(kept, fate, context)
  }

  async set(key: string, value: CachedValue | null, context: SetContext = {}): Promise<void> {
    const id = boundedKey(this.#prefix, key)
    if (this.#place.isBuild) {
      const size = value?.kind === 'FETCH' ? JSON.stringify(value).length : 0
      // Pages of a build are files, which Next writes.
      if (size > 0) this.#place.memory.set(id, { value, lastModified: Date.now() }, size)
      return
    }
    const tags = tagsOf(value, context)
    const born = value?.kind === 'IMAGE' ? this.#place.born() : this.#born
    const kept: Kept = { value, tags, control: context.cacheControl, lastModified: Date.now(), born }
    this.#place.attempt((spaces) => {
      if (!context.fetchCache) this.#replaceFile(spaces, id, key)
      // Another process may have stored a page of after the revalidation already.
      if (spaces.times.fateOf(tags, born) === 'dead') return
      if (!this.#place.write(spaces.pages, id, kept)) spaces.pages.delete(id)
    })
  }

  async revalidateTag(tags: string | string[], durations?: Durations): Promise<void> {
    await this.#place.revalidate(typeof tags === 'string' ? [tags] : tags, expireOf(durations))
    // What the request reads from now on is of after the revalidation.
    this.resetRequestCache()
  }

  resetRequestCache(): void {
    this.#born = this.#place.born()
  }

  /** The file of the build for a key, put into the cache for all processes. */
  async #seed(id: string, key: string, context: GetContext): Promise<Kept | undefined> {
    const { serverDistDir } = this.#context
    if (serverDistDir === undefined || this.#context.dev === true) return undefined
    const file = await prerendered(serverDistDir, key, context)
    if (file === undefined) return undefined
    const kept: Kept = { ...file, tags: tagsOf(file.value, {}), born: { file: file.lastModified } }
    // A fallback is not the page of this key.
    if (context.isFallback !== true) this.#place.attempt(({ pages }) => pages.set(id, kept, { if: 'absent' }))
    return kept
  }

  /** After the first page of the run, the file of the build must not come back, also if the page is evicted. */
  #replaceFile({ times }: Spaces, id: string, key: string): void {
    const { serverDistDir } = this.#context
    if (serverDistDir === undefined || this.#place.replaced.has(id)) return
    if (!isPrerendered(serverDistDir, key)) return
    const tag = replacedTag(id)
    if (times.fateOf([tag], { file: 0 }) !== 'dead') times.revalidate([tag])
    this.#place.replaced.add(id)
  }
}

/** The tag of the file of a key. No tag of Next begins so. */
function replacedTag(id: string): string {
  return `\0file:${id}`
}

const builds = new Map<string, string>()

/** Next keeps one build in a folder while it runs. */
function buildOf({ serverDistDir, dev }: HandlerContext): string {
  if (dev === true || serverDistDir === undefined) return 'development'
  const build = builds.get(serverDistDir) ?? buildIdOf(serverDistDir) ?? 'unknown'
  builds.set(serverDistDir, build)
  return build
}

function tagsOf(value: CachedValue | null, { tags = [] }: SetContext): string[] {
  if (value?.kind === 'FETCH') return [...new Set([...tags, ...((value['tags'] as string[] | undefined) ?? [])])]
  const header: unknown = (value?.['headers'] as Record<string, unknown> | undefined)?.[TAGS_HEADER]
  return typeof header === 'string' && header !== '' ? header.split(',') : []
}

/** An entry as Next reads it. Next itself decides by time, and by `lastModified`, whether it is stale. */
function answerOf(kept: Kept, fate: Fate, context: GetContext): HandlerValue {
  const { value, lastModified, control } = kept
  const now = Date.now()
  const isStale = fate === 'stale'
  if (value?.kind === 'IMAGE') return { value, lastModified }
  if (value?.kind === 'FETCH') {
    const seconds = Number(context.revalidate || value['revalidate'])
    return { value, lastModified: isStale ? Math.min(lastModified, now - (seconds + 1) * 1000) : lastModified }
  }
  const seconds = control?.revalidate
  if (isStale && typeof seconds === 'number') {
    const past = Math.min(lastModified, now - seconds * 1000 - 1)
    return readable(value, control, past, past)
  }
  // A page that lives for ever becomes stale by a lifetime that is over, or where Next does not read that, by -1.
  if (isStale) return readable(value, { revalidate: 1, expire: control?.expire }, now - 1001, -1)
  const isFresh = seconds === false || (seconds !== undefined && lastModified + seconds * 1000 > now)
  return readable(value, control, lastModified, isFresh ? now : lastModified)
}

/**
 * Next reads `cacheControl` before `lastModified`, or before 16.4 not at all. Then it takes the lifetime of a page that
 * another process has rendered for one second.
 */
function readable(
  value: CachedValue | null,
  control: CacheControl | undefined,
  lastModified: number,
  withoutControl: number,
): HandlerValue {
  let isRead = false
  return {
    value,
    get cacheControl() {
      isRead = control !== undefined
      return control
    },
    get lastModified() {
      return isRead ? lastModified : withoutControl
    },
  }
}
