/**
 * The options of `getOrSet`, `wrap` and `once`, and their checked forms.
 *
 * The options of the call that began a load control the load. The timeouts of each call, and the stale values that it
 * accepts, are its own.
 */
import { invalid } from '../errors.ts'
import { checkSignal, resolveTags, resolveTimeout, resolveTtl } from './options.ts'
import type { Duration, Milliseconds } from './units.ts'
import type { Key } from './keys.ts'
import { accepted, checkObject } from './option-names.ts'

/** The argument of a loader. */
export interface LoadContext<V = unknown> {
  readonly key: Key
  /**
   * Aborted when the result is no longer needed: every call that waited for it was aborted by its own signal, the cache
   * was closed, or the `lease` ended. A timeout does not abort it, because the late result is kept.
   */
  readonly signal: AbortSignal
  /** The previous value, fresh or stale, if the cache still has one; otherwise undefined. */
  readonly stale: V | undefined
  /**
   * Larger than the token of every earlier load of this key, for stores that refuse older writers. 0: not coordinated.
   */
  readonly token: number
  /**
   * Return its result if the previous value is still valid: it is stored again, with a new lifetime and the tags of
   * this call. Throws `ERR_INVALID_ARGUMENT` if there is no previous value (`stale` is undefined).
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

/** Loads a value. Its error rejects every call that waits for the load. */
export type Load<V, T> = (context: LoadContext<V>) => T | PromiseLike<T>

/** Options of `getOrSet` and `wrap`. */
export interface LoadOptions<T = unknown> {
  /**
   * Lifetime of the loaded value, or a function of the value that returns it; Infinity: no expiry. If the function
   * returns undefined, the default applies; if it returns 0 or less, waiting calls get the value and it is not kept.
   * Default: the `ttl` of `open`, else no expiry.
   *
   * @example
   * cache.getOrSet('token', fetchToken, { ttl: (token) => token.expiresAt - Date.now() - 5000 })
   */
  ttl?: Duration | ((value: T) => Duration | undefined) | undefined
  /** Tags of the entry, or a function of the value that returns them. Default: none. */
  tags?: readonly string[] | ((value: T) => readonly string[]) | undefined
  /**
   * How long after its deadline, or after a tag made it stale, a value is served at once while one process of the host
   * reloads it. Values stored without this option have no such time. Default: not at all.
   *
   * @example
   * cache.getOrSet('news', fetchNews, { ttl: '1m', stale: '10m' }) // never waits after the first load
   */
  stale?: Duration | undefined
  /**
   * How long after its deadline a value is served if the load failed or took longer than `hardTimeout`. Default: as
   * `stale`.
   *
   * @example
   * cache.getOrSet('rates', fetchRates, { ttl: '1m', staleIfError: '1d' })
   */
  staleIfError?: Duration | undefined
  /**
   * When a read of a fresh value starts a reload in the background: in the last share of its lifetime, as a number
   * below 1, or in a time before its deadline. A failed reload changes nothing; the next one starts at least a second
   * later. Default: never.
   *
   * @example
   * cache.getOrSet('config', fetchConfig, { ttl: '10m', refreshAhead: 0.2 }) // in the last two minutes
   */
  refreshAhead?: number | Duration | undefined
  /**
   * How long to remember that the loader returned undefined. Meanwhile `get` is a miss, and `getOrSet` returns
   * undefined without a load. `set`, `delete` and `clear` end it. It takes room like an entry, and counts in `size`.
   * Default: waiting calls get undefined, and it is not remembered.
   *
   * @example
   * cache.getOrSet(`user:${id}`, () => findUser(id), { ttl: '5m', negativeTtl: '10s' })
   */
  negativeTtl?: Duration | undefined
  /**
   * After this time a stale value is served if there is one (within `stale`, or within `staleIfError` if `stale` is not
   * given). The load continues, and its result is kept. Without a stale value it has no effect. Default: at once with
   * `stale`, else never.
   *
   * @example
   * cache.getOrSet('quote', fetchQuote, { ttl: '5s', stale: '1m', timeout: 200 })
   */
  timeout?: Duration | undefined
  /**
   * Reject with `ERR_TIMEOUT` after this time; the load continues, and its late result is kept. Default: the `lease`.
   */
  hardTimeout?: Duration | undefined
  /**
   * A fraction from 0 to 1. The lifetime is shortened by a random part of up to this fraction, so that values loaded
   * together do not expire together. It is never lengthened. Default: 0.
   */
  jitter?: number | undefined
  /** Load even if there is a fresh value, or join a running load. Default: false. */
  force?: boolean | undefined
  /**
   * Ends the wait of this call, which rejects with the reason of the signal. The load continues for other calls. When
   * every call of this process that waited for it was aborted, the load is abandoned: its `signal` is aborted, and a
   * call that waits in another process loads.
   */
  signal?: AbortSignal | undefined
  /**
   * Maximum time of a load. After that, waiting calls in its process get `ERR_TIMEOUT`, and the next call may load as
   * well. A later result is kept only if no other load has begun. Default: 30 s.
   */
  lease?: Duration | undefined
}

/** Options of `wrap`. */
export interface WrapOptions<A extends readonly unknown[], T> extends LoadOptions<T> {
  /**
   * The key of a call, from its arguments. Required: all programs that open the segment share its keys, so the name of
   * a function is not enough.
   */
  key: (...args: A) => Key
}

/** Options of `once`. */
export interface OnceOptions {
  /** How long the result is remembered. Default: as long as the segment exists. */
  ttl?: Duration | undefined
  /** Ends the wait of this call, which rejects with the reason of the signal; the run continues. */
  signal?: AbortSignal | undefined
}

/** `LoadOptions`, checked and as numbers. */
export interface ResolvedLoad {
  /** 0: none. Undefined: the `ttl` of `open`. */
  readonly ttl: Milliseconds | ((value: never) => Duration | undefined) | undefined
  readonly tags: readonly string[] | ((value: never) => readonly string[])
  /** How long a stale value is served at once. Undefined: not at all. */
  readonly stale: Milliseconds | undefined
  /** How long a stale value is served after `timeout`. Undefined: never. */
  readonly staleAfterTimeout: Milliseconds | undefined
  /** How long a stale value is served instead of an error. */
  readonly staleIfError: Milliseconds
  readonly refreshAhead: RefreshAhead | undefined
  /** 0: no expiry. Undefined: an absence is not remembered. */
  readonly negativeTtl: Milliseconds | undefined
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
  negativeTtl: undefined,
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

const LOAD_NAMES = {
  ttl: true,
  tags: true,
  stale: true,
  staleIfError: true,
  refreshAhead: true,
  negativeTtl: true,
  timeout: true,
  hardTimeout: true,
  jitter: true,
  force: true,
  signal: true,
  lease: true,
} as const
const GET_OR_SET = accepted<LoadOptions>('getOrSet', LOAD_NAMES)
const WRAP = accepted<WrapOptions<never, never>>('wrap', { ...LOAD_NAMES, key: true })
const ONCE = accepted<OnceOptions>('once', { ttl: true, signal: true })

/** Checks the options of `getOrSet`. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveLoad(given: Duration | LoadOptions<never> | undefined, expected = GET_OR_SET): ResolvedLoad {
  if (given === undefined) return DEFAULTS
  if (typeof given === 'number' || typeof given === 'string') return { ...DEFAULTS, ttl: resolveTtl(given) }
  checkObject(given, expected)
  const { ttl, tags, jitter = 0, force = false, refreshAhead } = given
  const stale = time(given.stale, 'stale')
  const ifError = time(given.staleIfError, 'staleIfError')
  const timeout = time(given.timeout, 'timeout')
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1))
    throw invalid('jitter must be a number from 0 to 1', jitter)
  if (typeof force !== 'boolean') throw invalid('force must be true or false', force)
  return {
    ttl: ttl === undefined || typeof ttl === 'function' ? ttl : resolveTtl(ttl),
    tags: tags === undefined ? NO_TAGS : typeof tags === 'function' ? tags : resolveTags(tags),
    stale,
    staleAfterTimeout: timeout === undefined ? undefined : (stale ?? ifError),
    staleIfError: Math.max(stale ?? 0, ifError ?? 0),
    refreshAhead: refreshAhead === undefined ? undefined : resolveRefreshAhead(refreshAhead),
    negativeTtl: given.negativeTtl === undefined ? undefined : resolveTtl(given.negativeTtl),
    timeout: timeout ?? NEVER,
    hardTimeout: time(given.hardTimeout, 'hardTimeout') ?? NEVER,
    jitter,
    force,
    signal: checkSignal(given.signal),
    lease: given.lease === undefined ? DEFAULT_LEASE : resolveLease(given.lease),
  }
}

/** Checks the options of `wrap`. Throws `ERR_INVALID_ARGUMENT` or `ERR_INVALID_TTL`. */
export function resolveWrap(given: WrapOptions<never, never> | undefined): ResolvedLoad {
  if (given !== undefined) checkObject(given, WRAP)
  const { key } = given ?? {}
  if (typeof key !== 'function')
    throw invalid('wrap needs the option key, a function of the arguments that returns the key', key)
  return resolveLoad(given, WRAP)
}

/** Checks the options of `once`. A run has no lease: no other process runs it as long as its process lives. */
export function resolveOnce(given: Duration | OnceOptions | undefined): ResolvedLoad {
  if (given === undefined) return { ...DEFAULTS, ttl: 0, lease: 0 }
  if (typeof given === 'number' || typeof given === 'string') {
    return { ...DEFAULTS, ttl: resolveTtl(given), lease: 0 }
  }
  checkObject(given, ONCE)
  const { ttl, signal } = given
  return { ...DEFAULTS, ttl: ttl === undefined ? 0 : resolveTtl(ttl), signal: checkSignal(signal), lease: 0 }
}

/**
 * Lifetime of a loaded value: 0 for none, undefined if it is not to be kept. Throws `ERR_INVALID_TTL`, and the errors
 * of the user's function.
 */
export function lifetimeOf(value: unknown, options: ResolvedLoad, defaultTtl: Milliseconds): Milliseconds | undefined {
  const { ttl } = options
  if (typeof ttl !== 'function') return withJitter(ttl ?? defaultTtl, options.jitter)
  const own = ttl(value as never)
  if (own === undefined) return withJitter(defaultTtl, options.jitter)
  if (typeof own === 'number' && own <= 0) return undefined
  return withJitter(resolveTtl(own), options.jitter)
}

/** Shortened by a random part; 0 stays 0, and nothing else becomes 0. */
export function withJitter(ttl: Milliseconds, jitter: number): Milliseconds {
  return ttl === 0 || jitter === 0 ? ttl : Math.max(1, Math.round(ttl * (1 - jitter * Math.random())))
}

/** Tags of a loaded value. Throws `ERR_INVALID_ARGUMENT`, and the errors of the user's function. */
export function tagsOf(value: unknown, { tags }: ResolvedLoad): readonly string[] {
  return typeof tags === 'function' ? resolveTags(tags(value as never)) : tags
}

/** Whether to reload a value that expires in `remaining` of `lifetime` milliseconds; Infinity: never. */
export function isDue(when: RefreshAhead, remaining: Milliseconds, lifetime: Milliseconds): boolean {
  if (remaining === Number.POSITIVE_INFINITY) return false
  return remaining <= ('share' in when ? when.share * lifetime : when.before)
}

function resolveRefreshAhead(given: number | Duration): RefreshAhead {
  if (typeof given === 'number' && given > 0 && given < 1) return { share: given }
  return { before: resolveTimeout(given, 'refreshAhead') }
}

function resolveLease(given: Duration): Milliseconds {
  const lease = Math.ceil(resolveTimeout(given, 'lease'))
  if (lease > 0) return lease
  throw invalid('lease must be a time above 0', given)
}

function time(given: Duration | undefined, what: string): Milliseconds | undefined {
  return given === undefined ? undefined : Math.ceil(resolveTimeout(given, what))
}
