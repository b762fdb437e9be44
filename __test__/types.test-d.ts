/**
 * What the compiler must accept and refuse. Checked with all other sources; nothing here runs.
 */
import { open } from '../index.ts'
import type {
  CacheError,
  CacheErrorCode,
  CacheStore,
  Duration,
  Entry,
  Key,
  SegmentInfo,
  SharedCache,
  Stats,
  segments,
} from '../index.ts'

interface User {
  name: string
}

/** Fails to compile unless both are the same type. */
function same<A, B>(..._: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? [] : [never]): void {}

export function typesHold(cache: SharedCache<User>, anything: SharedCache, key: Key, error: CacheError): void {
  same<ReturnType<typeof cache.get>, User | undefined>()
  same<ReturnType<typeof cache.take>, User | undefined>()
  same<ReturnType<typeof cache.getEntry>, Entry<User> | undefined>()
  same<ReturnType<typeof cache.waitFor>, Promise<Entry<User>>>()
  same<ReturnType<typeof cache.stats>, Stats>()
  same<ReturnType<typeof anything.get>, unknown>()
  same<typeof error.code, CacheErrorCode>()
  same<ReturnType<typeof segments.inspect>, SegmentInfo | undefined>()
  same<ReturnType<typeof open<User>>, SharedCache<User>>()

  cache.set(key, { name: 'Ada' }, '30s')
  cache.set('a', { name: 'Ada' }, { ttl: 5000, if: { version: 1 }, keepTtl: true })
  cache.set('a', { name: 'Ada' }, { ttl: undefined, if: undefined })
  cache.add('a', { name: 'Ada' }, { expiresAt: Date.now() + 1000 })
  open({ name: 'a', size: '64mb', directory: process.env.SEGMENTS })
  const stop: () => void = cache.on('repaired', ({ shard, dropped }) => void (shard + dropped))
  stop()

  // @ts-expect-error another type
  cache.set('a', { age: 5 })
  // @ts-expect-error no key
  cache.get(5)
  // @ts-expect-error no unit
  const duration: Duration = '30'
  // @ts-expect-error no unit of size
  open({ name: 'a', size: duration })
  // @ts-expect-error a name is required
  open({})
  // @ts-expect-error no such policy
  open({ name: 'a', eviction: 'arc' })
  // @ts-expect-error add has its own condition
  cache.add('a', { name: 'Ada' }, { if: 'present' })
  // @ts-expect-error touch needs a lifetime
  cache.touch('a')
  // @ts-expect-error no such event
  cache.on('evicted', () => undefined)
  // @ts-expect-error tests only
  void cache.handle
}

export function loadsAreTyped(cache: SharedCache<User>, anything: SharedCache): void {
  const user = (): Promise<User> => Promise.resolve({ name: 'Ada' })
  const perhaps = (): Promise<User | undefined> => Promise.resolve(undefined)
  const loaded = cache.getOrSet('a', user, { ttl: (value) => value.name.length, tags: ({ name }) => [name] })
  same<typeof loaded, Promise<User>>()
  const found = cache.getOrSet('a', perhaps, { negativeTtl: '1s' })
  same<typeof found, Promise<User | undefined>>()
  const number = anything.getOrSet('a', () => 5, { stale: '5m', refreshAhead: 0.2, jitter: 0.1, force: undefined })
  same<typeof number, Promise<number>>()
  const kept = cache.getOrSet('a', ({ stale, notModified }) => (stale === undefined ? user() : notModified()))
  same<typeof kept, Promise<User>>()
  // @ts-expect-error -- the cache is of users
  void cache.getOrSet('a', () => 5)

  const wrapped = cache.wrap((id: number, deep?: boolean) => (deep ? user() : user()), { key: (id) => `user:${id}` })
  same<Parameters<typeof wrapped>, [id: number, deep?: boolean | undefined]>()
  same<ReturnType<typeof wrapped>, Promise<User>>()
  // @ts-expect-error -- a key is required
  cache.wrap(user, { ttl: '5m' })
  const sum = anything.wrap((a: number, b: number) => a + b, { key: (a, b) => `${a}+${b}`, ttl: (value) => value })
  same<ReturnType<typeof sum>, Promise<number>>()

  const done = cache.once('a', () => 'text', { ttl: '1d' })
  same<typeof done, Promise<string>>()
  const store: CacheStore = cache
  void store.getOrSet('a', user)
}
