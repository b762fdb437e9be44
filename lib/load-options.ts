/**
 * How values are loaded: what users pass to `getOrSet`, `wrap` and `once`, checked and in numbers.
 *
 * The thing to get wrong: whose options count. A load has those of the call that began it; how long a call waits, and what it
 * takes instead of a new value, is its own.
 */
import { invalid } from './errors.ts'
import { resolveTags, resolveTimeout, resolveTtl } from './options.ts'
import type { Duration, Milliseconds } from './units.ts'
import type { Key } from './values.ts'

/** What a loader gets. */
export interface LoadContext<V = unknown> {
  readonly key: Key
  /**
   * Aborted when nobody needs the result any more: every call that waited for it was aborted by its own signal, the cache was
   * closed, or the `lease` ran out. A timeout aborts nothing, because the late result is kept.
   */
  readonly signal: AbortSignal
  /** The value before, fresh or stale, if the cache still has one; else undefined. */
  readonly stale: V | undefined
  /** Larger than that of every load of this key before: for stores that refuse writes of an older one. 0: not coordinated. */
  readonly token: number
  /**
   * To be returned where the value before is still good: it is stored once more, with a new lifetime and the tags of this call.
   * Throws `ERR_INVALID_ARGUMENT` where there is none (`stale` is undefined).
   *
   * @example
   * cache.getOrSet('feed', async ({ stale, notModified }) => {
   *   const answer = await fetch(url, { headers: stale ? { 'if-none-match': stale.etag } : {} })
   *   if (answer.status === 304) return notModified()
   *   return { etag: answer.headers.get('etag'), text: await answer.text() }
   * }, { ttl: '1m', staleIfError: '1h' })
   */
  readonly notModified: () => never
}

/** Loads a value; what it throws is thrown to all who wait for it. */
export type Load<V, T> = (context: LoadContext<V>) => T | PromiseLike<T>

/** Options of `getOrSet` and `wrap`. */
export interface LoadOptions<T = unknown> {
  /**
   * Lifetime of what was loaded, or a function that gets the value and tells it. Of a function: undefined is the default, and 0
   * or less means that the value is handed to those who wait for it and not kept. Default: the `ttl` of `open`, else no expiry.
   *
   * @example
   * cache.getOrSet('token', fetchToken, { ttl: (token) => token.expiresAt - Date.now() - 5000 })
   */
  ttl?: Duration | ((value: T) => Duration | undefined) | undefined
  /** Tags of the entry, or a function that gets the value and tells them. Default: none. */
  tags?: readonly string[] | ((value: T) => readonly string[]) | undefined
  /**
   * How long after its deadline (or after a tag outdated it) a value is still served at once, while one process of the host
   * reloads it. What was stored without this option has no such time. Default: not at all.
   *
   * @example
   * cache.getOrSet('news', fetchNews, { ttl: '1m', stale: '10m' }) // never waits, once there was a value
   */
  stale?: Duration | undefined
  /**
   * How long after its deadline a value is served where the load failed, or took longer than `hardTimeout`. Default: as `stale`.
   *
   * @example
   * cache.getOrSet('rates', fetchRates, { ttl: '1m', staleIfError: '1d' })
   */
  staleIfError?: Duration | undefined
  /**
   * When a fresh value is reloaded in the background by one of those who read it: a share of its lifetime, as a number below 1,
   * or a time before its deadline. A reload that fails changes nothing; the next is tried a second later at the earliest. Default:
   * never.
   *
   * @example
   * cache.getOrSet('config', fetchConfig, { ttl: '10m', refreshAhead: 0.2 }) // in the last two minutes
   */
  refreshAhead?: number | Duration | undefined
  /**
   * The loader returned undefined: remember for so long that there is no value. `get` is a miss all the same; `getOrSet`
   * returns undefined without a load; `set`, `delete` and `clear` end it. It takes room like an entry, and counts in `size`. Default:
   * undefined is handed to those who wait, and not remembered.
   *
   * @example
   * cache.getOrSet(`user:${id}`, () => findUser(id), { ttl: '5m', negativeTtl: '10s' })
   */
  negativeTtl?: Duration | undefined
  /**
   * After so long a stale value is served if there is one (within `stale`, or `staleIfError` where `stale` is not given), and the
   * load goes on; its result is kept. Without one it says nothing. Default: with `stale` at once, else never.
   *
   * @example
   * cache.getOrSet('quote', fetchQuote, { ttl: '5s', stale: '1m', timeout: 200 })
   */
  timeout?: Duration | undefined
  /** After so long reject with `ERR_TIMEOUT`; the load goes on, and its late result is kept. Default: the `lease`. */
  hardTimeout?: Duration | undefined
  /**
   * A fraction from 0 to 1: the lifetime is shortened by a random part of so much of it, so that what was loaded together does
   * not expire together. Never lengthened. Default: 0.
   */
  jitter?: number | undefined
  /** Load even if there is a fresh value; a load that is under way will do. Default: false. */
  force?: boolean | undefined
  /**
   * Ends the wait of this call, which rejects with the signal's reason. The load goes on for others; when every call of this
   * process that waited for it was aborted, it is given up: its `signal` is aborted, and whoever waits elsewhere loads.
   */
  signal?: AbortSignal | undefined
  /**
   * How long a load may take. After that those who wait in its process get `ERR_TIMEOUT`, and the next caller may load as well; a
   * result that comes later is kept only if nobody took over. Default: 30 s.
   */
  lease?: Duration | undefined
}

/** Options of `wrap`. */
export interface WrapOptions<A extends readonly unknown[], T> extends LoadOptions<T> {
  /**
   * The key of a call, from its arguments. Required: a key is the same for all programs that open the segment, and the name of
   * a function says too little.
   */
  key: (...args: A) => Key
}

/** Options of `once`. */
export interface OnceOptions {
  /** How long the result is remembered. Default: as long as the segment exists. */
  ttl?: Duration | undefined
  /** Ends the wait of this call, which rejects with the signal's reason; what runs goes on. */
  signal?: AbortSignal | undefined
}

/** `LoadOptions`, checked and in numbers. */
export interface ResolvedLoad {
  /** 0: none. Undefined: that of `open`. */
  readonly ttl: Milliseconds | ((value: never) => Duration | undefined) | undefined
  readonly tags: readonly string[] | ((value: never) => readonly string[])
  /** A stale value is served at once. Undefined: not at all. */
  readonly stale: Milliseconds | undefined
  /** A stale value is served after the soft timeout. Undefined: never. */
  readonly staleAfterTimeout: Milliseconds | undefined
  /** A stale value is served instead of an error. */
  readonly staleIfError: Milliseconds
  readonly refreshAhead: RefreshAhead | undefined
  /** 0: none. */
  readonly negativeTtl: Milliseconds
  readonly timeout: Milliseconds
  readonly hardTimeout: Milliseconds
  readonly jitter: number
  readonly force: boolean
  readonly signal: AbortSignal | undefined
  /** 0: none. */
  readonly lease: Milliseconds
}

/** A share of the lifetime, or a time before the deadline. */
export type RefreshAhead = { readonly share: number } | { readonly before: Milliseconds }

const DEFAULT_LEASE: Milliseconds = 30_000
const NO_TAGS: readonly string[] = []
const NEVER = Number.POSITIVE_INFINITY

const DEFAULTS: ResolvedLoad = {
  ttl: undefined,
  tags: NO_TAGS,
  stale: undefined,
  staleAfterTimeout: undefined,
  staleIfError: 0,
  refreshAhead: undefined,
  negativeTtl: 0,
  timeout: NEVER,
  hardTimeout: NEVER,
  jitter: 0,
  force: false,
  signal: undefined,
  lease: DEFAULT_LEASE,
}

/** Throws `ERR_INVALID_ARGUMENT` unless `load` is a function. */
export function checkLoad(load: unknown, what: string): void {
  if (typeof load !== 'function') throw invalid(`${what} takes a function`, load)
}

/** Checks the options of `getOrSet`. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveLoad(given: LoadOptions<never> | undefined): ResolvedLoad {
  if (given === undefined) return DEFAULTS
  if (typeof given !== 'object' || given === null) throw invalid('options must be an object', given)
  const { ttl, tags, jitter = 0, force = false, refreshAhead } = given
  const stale = time(given.stale, 'stale')
  const ifError = time(given.staleIfError, 'staleIfError')
  const timeout = time(given.timeout, 'timeout')
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) throw invalid('jitter must be from 0 to 1', jitter)
  if (typeof force !== 'boolean') throw invalid('force must be true or false', force)
  return {
    ttl: ttl === undefined || typeof ttl === 'function' ? ttl : resolveTtl(ttl),
    tags: tags === undefined ? NO_TAGS : typeof tags === 'function' ? tags : resolveTags(tags),
    stale,
    staleAfterTimeout: timeout === undefined ? undefined : (stale ?? ifError),
    staleIfError: Math.max(stale ?? 0, ifError ?? 0),
    refreshAhead: refreshAhead === undefined ? undefined : resolveRefreshAhead(refreshAhead),
    negativeTtl: given.negativeTtl === undefined ? 0 : resolveTtl(given.negativeTtl),
    timeout: timeout ?? NEVER,
    hardTimeout: time(given.hardTimeout, 'hardTimeout') ?? NEVER,
    jitter,
    force,
    signal: checkSignal(given.signal),
    lease: given.lease === undefined ? DEFAULT_LEASE : resolveLease(given.lease),
  }
}

/** Checks the options of `wrap`, but for its function. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveWrap(given: WrapOptions<never, never> | undefined): ResolvedLoad {
  const { key } = given ?? {}
  if (typeof key !== 'function')
    throw invalid('wrap needs a key: a function of the arguments that returns the key', key)
  return resolveLoad(given)
}

/** Checks the options of `once`. What it runs has no lease: nobody else may run it while its process lives. */
export function resolveOnce(given: OnceOptions | undefined): ResolvedLoad {
  if (given === undefined) return { ...DEFAULTS, ttl: 0, lease: 0 }
  if (typeof given !== 'object' || given === null) throw invalid('options must be an object', given)
  const { ttl, signal } = given
  return { ...DEFAULTS, ttl: ttl === undefined ? 0 : resolveTtl(ttl), signal: checkSignal(signal), lease: 0 }
}

/**
 * Lifetime of a loaded value: 0 for none, undefined if it is not to be kept. Throws `ERR_INVALID_TTL`, and what the user's function
 * throws.
 */
export function lifetimeOf(value: unknown, options: ResolvedLoad, defaultTtl: Milliseconds): Milliseconds | undefined {
  const { ttl } = options
  if (typeof ttl !== 'function') return withJitter(ttl ?? defaultTtl, options.jitter)
  const told = ttl(value as never)
  if (told === undefined) return withJitter(defaultTtl, options.jitter)
  if (typeof told === 'number' && told <= 0) return undefined
  return withJitter(resolveTtl(told), options.jitter)
}

/** Shortened by a random part; 0 stays 0, and nothing else becomes 0. */
export function withJitter(ttl: Milliseconds, jitter: number): Milliseconds {
  return ttl === 0 || jitter === 0 ? ttl : Math.max(1, Math.round(ttl * (1 - jitter * Math.random())))
}

/** Tags of a loaded value. Throws `ERR_INVALID_ARGUMENT`, and what the user's function throws. */
export function tagsOf(value: unknown, { tags }: ResolvedLoad): readonly string[] {
  return typeof tags === 'function' ? resolveTags(tags(value as never)) : tags
}

/** Whether a value that expires in `remaining` of `lifetime` milliseconds is to be reloaded. */
export function isDue(when: RefreshAhead, remaining: Milliseconds, lifetime: Milliseconds): boolean {
  return remaining <= ('share' in when ? when.share * lifetime : when.before)
}

function resolveRefreshAhead(given: number | Duration): RefreshAhead {
  if (typeof given === 'number' && given > 0 && given < 1) return { share: given }
  return { before: resolveTimeout(given, 'refreshAhead') }
}

function resolveLease(given: Duration): Milliseconds {
  const lease = Math.ceil(resolveTimeout(given, 'lease'))
  if (lease > 0) return lease
  throw invalid('lease must be above 0', given)
}

function time(given: Duration | undefined, what: string): Milliseconds | undefined {
  return given === undefined ? undefined : Math.ceil(resolveTimeout(given, what))
}

function checkSignal(signal: AbortSignal | undefined): AbortSignal | undefined {
  if (signal === undefined || typeof signal?.addEventListener === 'function') return signal
  throw invalid('signal must be an AbortSignal', signal)
}
