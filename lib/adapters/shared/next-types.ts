/**
 * What Next 15 and 16 pass to cache handlers, and expect from them. The types hold for both, without those of Next.
 */

/** Lifetimes of a page in seconds. */
export interface CacheControl {
  /** False: it does not become stale by time. */
  revalidate: number | false
  expire: number | undefined
}

/* `any` is what the values of routes, pages, images and fetches have in common. */
/* oxlint-disable typescript/no-explicit-any */

/** A page, a route, an image or an answer to `fetch`, by `kind`. */
export interface CachedValue {
  kind: 'APP_PAGE' | 'APP_ROUTE' | 'PAGES' | 'FETCH' | 'IMAGE' | 'REDIRECT'
  [part: string]: any
}

/** The constructor argument of a cache handler. */
export interface HandlerContext {
  /** The folder `.next/server`. */
  serverDistDir?: string | undefined
  dev?: boolean | undefined
  /** Tags that this request finds revalidated. */
  revalidatedTags?: string[] | undefined
  [other: string]: any
}

/** The second argument of `get`. */
export interface GetContext {
  kind?: string | undefined
  /** Tags of a `fetch`, and those of the page that calls it. */
  tags?: string[] | undefined
  softTags?: string[] | undefined
  /** Seconds. */
  revalidate?: number | false | undefined
  isFallback?: boolean | undefined
  isRoutePPREnabled?: boolean | undefined
  [other: string]: any
}

/** The third argument of `set`. */
export interface SetContext {
  fetchCache?: boolean | undefined
  tags?: string[] | undefined
  cacheControl?: CacheControl | undefined
  [other: string]: any
}

/** The answer of `get`. */
export interface HandlerValue {
  /** Epoch milliseconds; -1: to be made anew at once. */
  lastModified: number
  value: any
  /** Next reads it from 16.4 on. */
  cacheControl?: CacheControl | undefined
}
/* oxlint-enable typescript/no-explicit-any */

/** With a profile, a revalidation lets entries be served as stale for `expire` seconds. */
export interface Durations {
  expire?: number | undefined
}

/** An object that handles `cacheHandler`: one for each request. */
export interface CacheHandler {
  get(key: string, context?: GetContext): Promise<HandlerValue | null>
  set(key: string, value: CachedValue | null, context?: SetContext): Promise<void>
  revalidateTag(tags: string | string[], durations?: Durations): Promise<void>
  resetRequestCache(): void
}

/** A result of a function with `use cache`. */
export interface CacheEntry {
  value: ReadableStream<Uint8Array>
  tags: string[]
  /** Seconds, for the client. */
  stale: number
  /** The moment at which it began, in epoch milliseconds. */
  timestamp: number
  /** Seconds after which it is not served any more. */
  expire: number
  /** Seconds after which it is made anew while it is served; negative: now. */
  revalidate: number
}

/** An object that handles `cacheHandlers`. */
export interface UseCacheHandler {
  get(key: string, softTags?: string[]): Promise<CacheEntry | undefined>
  set(key: string, entry: Promise<CacheEntry>): Promise<void>
  refreshTags(): Promise<void>
  getExpiration(...tags: (string | string[])[]): Promise<number>
  /** Next 16. */
  updateTags(tags: string[], durations?: Durations): Promise<void>
  /** Next 15. */
  expireTags(...tags: string[]): Promise<void>
  /** Next 15.0 to 15.2. */
  receiveExpiredTags(...tags: string[]): Promise<void>
}
