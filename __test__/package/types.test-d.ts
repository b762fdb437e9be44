/**
 * What the compiler must accept and refuse. Checked with all other sources, under `strict`; nothing here runs.
 */
import { open } from '../../index.ts'
import type {
  Bytes,
  CacheError,
  CacheErrorCode,
  CacheEvents,
  CacheMessage,
  CacheStore,
  Codec,
  Change,
  ChannelMessage,
  DamageEvent,
  Duration,
  Entry,
  GoneEvent,
  Item,
  Key,
  LimitResult,
  LockWaitBucket,
  NamespaceOptions,
  OpenOptions,
  RestoreInfo,
  SegmentInfo,
  SetOptions,
  SharedCache,
  SnapshotInfo,
  SnapshotKeeper,
  Stats,
  Walk,
  segments,
} from '../../index.ts'

interface User {
  name: string
}

interface Session {
  user: User
}

/** Fails to compile unless both are the same type. */
function same<A, B>(..._: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? [] : [never]): void {}

export function typesHold(cache: SharedCache<User>, anything: SharedCache, key: Key, error: CacheError): void {
  same<ReturnType<typeof cache.get>, User | undefined>()
  same<ReturnType<typeof cache.peek>, User | undefined>()
  same<ReturnType<typeof cache.take>, User | undefined>()
  same<ReturnType<typeof cache.swap>, User | undefined>()
  same<ReturnType<typeof cache.update>, User>()
  same<ReturnType<typeof cache.getEntry>, Entry<User> | undefined>()
  same<ReturnType<typeof cache.waitFor>, Promise<Entry<User>>>()
  same<ReturnType<typeof cache.stats>, Stats>()
  same<ReturnType<typeof cache.watch>, AsyncIterableIterator<Change>>()
  const news = cache.subscribe<User>({ prefix: 'news' })
  same<typeof news, AsyncIterableIterator<ChannelMessage<User>>>()
  // @ts-expect-error a channel is a string
  cache.subscribe(5)
  same<ReturnType<typeof anything.get>, unknown>()
  same<typeof error.code, CacheErrorCode>()
  same<ReturnType<typeof segments.inspect>, SegmentInfo | undefined>()
  same<ReturnType<typeof open<User>>, SharedCache<User>>()
  same<ReturnType<typeof open>, SharedCache>()

  cache.set(key, { name: 'Ada' }, '30s')
  cache.set('a', { name: 'Ada' }, { ttl: 5000, if: { version: 1 }, keepTtl: true })
  cache.set('a', { name: 'Ada' }, { ttl: undefined, if: undefined })
  cache.add('a', { name: 'Ada' }, { expiresAt: Date.now() + 1000 })
  open({ name: 'a', size: '64mb', directory: process.env.SEGMENTS })
  const stop: () => void = cache.on('repaired', ({ shard, dropped }) => void (shard + dropped))
  stop()

  const limiter = cache.limiter('api', { limit: 100, window: '1m', algorithm: 'gcra' })
  same<ReturnType<typeof limiter.consume>, LimitResult>()
  cache.metrics().counter('requests_total', { status: 200, cached: true }, { help: 'Requests.' }).inc()

  // @ts-expect-error no such algorithm
  cache.limiter('api', { limit: 100, window: '1m', algorithm: 'token-bucket' })
  // @ts-expect-error a window is required
  cache.limiter('api', { limit: 100 })
  // @ts-expect-error a counter is not set
  cache.metrics().counter('requests_total').set(5)
  // @ts-expect-error a label is text, a number or a boolean
  cache.metrics().gauge('g', { a: {} })
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

export function manyKeysAreTyped(cache: SharedCache<User>, keys: Set<string>, users: Map<string, User>): void {
  same<ReturnType<typeof cache.getMany>, (User | undefined)[]>()
  same<ReturnType<typeof cache.setMany>, boolean[]>()
  same<ReturnType<typeof cache.deleteMany>, boolean[]>()
  same<ReturnType<typeof cache.hasMany>, boolean[]>()
  cache.getMany(['a', new Uint8Array(1), Buffer.from('b')])
  cache.getMany(keys)
  cache.hasMany(cache.keys())
  cache.setMany(users, '5m')
  cache.setMany([
    ['a', { name: 'Ada' }],
    ['b', { name: 'Bob' }, '5s'],
    ['c', { name: 'Cy' }, { ttl: 5, tags: ['x'], stale: '1m' }],
  ])
  const items: Item<User>[] = Array.from(users, ([name, user]) => [name, user] as const)
  cache.setMany(items, { keepTtl: true })

  // @ts-expect-error another type
  cache.setMany([['a', { age: 5 }]])
  // @ts-expect-error conditions are of single sets
  cache.setMany([['a', { name: 'Ada' }, { if: 'absent' }]])
  // @ts-expect-error no condition for all either
  cache.setMany([], { if: 'absent' })
  // @ts-expect-error numbers are no keys
  cache.getMany([1, 2])
  // @ts-expect-error a value may be missing
  const found: User[] = cache.getMany(['a'])
  void found
}

export function iterationIsTyped(cache: SharedCache<User>): void {
  same<ReturnType<typeof cache.keys>, Walk<Key>>()
  same<ReturnType<typeof cache.entries>, Walk<[Key, User]>>()
  for (const [key, user] of cache) {
    same<typeof key, Key>()
    same<typeof user, User>()
  }
  cache.keys({ prefix: 'a', signal: AbortSignal.timeout(5) })
  same<ReturnType<typeof cache.deletePrefixAsync>, Promise<number>>()
  void cache.deletePrefixAsync('a', { signal: AbortSignal.timeout(5) })
  // @ts-expect-error a signal is no option of the synchronous call
  cache.deletePrefix('a', { signal: AbortSignal.timeout(5) })
  cache.entries({ prefix: new Uint8Array(1) })
  same<ReturnType<typeof cache.snapshot>, Promise<SnapshotInfo>>()
  void cache.snapshot(new URL('file:///a'), { compression: 'none', signal: AbortSignal.timeout(5) })
  same<ReturnType<typeof cache.restore>, Promise<RestoreInfo>>()
  void cache.restore('a', { mode: 'replace', overwrite: true })
  // @ts-expect-error there are two modes
  void cache.restore('a', { mode: 'clear' })
  same<ReturnType<typeof cache.keepSnapshots>, Promise<SnapshotKeeper>>()
  void cache.keepSnapshots('a', { every: '1m', onSigterm: false, restore: false, onError: console.error })
  cache.deletePrefix(Buffer.from('a'))
  // @ts-expect-error a prefix is text or bytes
  cache.keys({ prefix: 5 })
  // @ts-expect-error options, not a prefix
  cache.keys('a')
}

export function changesAreTyped(cache: SharedCache<User>, texts: SharedCache<string>): void {
  cache.update('a', (user) => {
    same<typeof user, User | undefined>()
    return { name: user?.name ?? 'Ada' }
  })
  same<ReturnType<typeof texts.append>, number>()
  same<ReturnType<typeof texts.incr>, number>()
  same<ReturnType<typeof texts.incrBigInt>, bigint>()
  texts.append('a', 'b', { ttl: '5m', tags: ['x'] })
  texts.append('a', new Uint8Array(1))
  texts.incr('n', 1, { init: 5, min: 0, max: 10, ttl: '1m' })
  texts.incrBigInt('n', 1n, { init: 5n, min: 0n, max: 10n, ttl: '1m' })
  texts.delete('a', { version: 5 })
  texts.invalidateTags('a')
  texts.invalidateTags(['a', 'b'] as const, { mode: 'stale' })
  texts.getEntry('a', { allowStale: true })

  // @ts-expect-error the function must return a value
  cache.update('a', () => undefined)
  // @ts-expect-error the value must have the type of the cache
  cache.update('a', () => 5)
  // @ts-expect-error neither text nor bytes
  texts.append('a', 5)
  // @ts-expect-error a bigint
  texts.incrBigInt('n', 1)
  // @ts-expect-error no bigint
  texts.incr('n', 1n)
  // @ts-expect-error swap stores in any case
  cache.swap('a', { name: 'Ada' }, { if: 'absent' })
  // @ts-expect-error nor does it keep a lifetime
  cache.swap('a', { name: 'Ada' }, { keepTtl: true })
  // @ts-expect-error replace has its own condition
  cache.replace('a', { name: 'Ada' }, { if: 'absent' })
  // @ts-expect-error no such mode
  texts.invalidateTags('a', { mode: 'expire' })
  // @ts-expect-error a version is a number
  texts.delete('a', { version: '5' })
}

export function namespacesAreTyped(cache: SharedCache<User>, store: CacheStore<User>): void {
  const alike = cache.namespace('alike')
  same<typeof alike, SharedCache<User>>()
  const sessions = cache.namespace<Session>('sessions', { ttl: '20m', codec: 'json', near: false, strict: true })
  same<typeof sessions, SharedCache<Session>>()
  const inner = store.namespace<Session>('sessions')
  same<typeof inner, CacheStore<Session>>()
  sessions.set('a', { user: { name: 'Ada' } })

  // @ts-expect-error the namespace has its own type
  sessions.set('a', { name: 'Ada' })
  const quota: NamespaceOptions = { reserve: '4mb', size: Infinity, eviction: 'none' }
  // @ts-expect-error the segment's, not a namespace's
  const wrong: NamespaceOptions = { maxEntrySize: '64mb' }
  void [quota, wrong]
}

export function entriesAreReadOnly(entry: Entry<User>): void {
  same<
    Entry<User>,
    {
      readonly value: User
      readonly version: number
      readonly createdAt: number
      readonly expiresAt: number | undefined
      readonly size: number
      readonly stale: boolean
    }
  >()
  same<Entry['value'], unknown>()
  // @ts-expect-error an entry is read-only
  entry.version = 5
}

/** Any object with the methods of a `CacheStore` is one, and `SharedCache` is one as well. */
export function storesAreInterchangeable(cache: SharedCache<User>, anything: SharedCache): void {
  const store: CacheStore<User> = cache
  const loose: CacheStore = anything
  takesStore(store)
  takesStore(cache)
  const partial = { get: (key: Key) => (key ? { name: 'Ada' } : undefined) }
  // @ts-expect-error not all methods are there
  takesStore(partial)
  // @ts-expect-error sessions are no users
  takesStore(cache.namespace<Session>('sessions'))
  // @ts-expect-error an adapter may use only the methods of a CacheStore
  store.getEntry('a')
  void loose
}

function takesStore(store: CacheStore<User>): User | undefined {
  same<ReturnType<typeof store.get>, User | undefined>()
  same<ReturnType<typeof store.getMany>, (User | undefined)[]>()
  same<ReturnType<typeof store.keys>, Walk<Key>>()
  store.set('a', { name: 'Ada' }, { ttl: '5m', if: 'absent', tags: ['x'] })
  return store.get('a')
}

export function optionsAreTyped(cache: SharedCache): void {
  const codec: Codec = { id: 1, encode: () => new Uint8Array(1), decode: (bytes) => bytes.length }
  const options: OpenOptions[] = [
    { name: 'a', codec: 'auto', near: false },
    { name: 'a', codec: 'json', near: { maxEntries: 5, maxSize: '1mb', objects: 'frozen' } },
    {
      name: 'a',
      codec,
      near: {},
      writeTimeout: '1s',
      maxEntrySize: 5,
      lockMemory: true,
      onMismatch: 'throw',
      group: 'www',
      version: 'v2',
    },
    { name: 'a', codec: undefined, near: undefined, ttl: undefined, strict: undefined, eviction: undefined },
  ]
  const durations: Duration[] = [5, 1.5, '250ms', '30s', '1.5h', '5m', '1d']
  const sizes: Bytes[] = [5, '64kb', '1.5gb', '2mb']
  const set: SetOptions = { ttl: 5, stale: '5m', tags: ['a'], keepTtl: false, if: { version: 5 } }
  void [options, durations, sizes, set]

  // @ts-expect-error no such codec
  open({ name: 'a', codec: 'msgpack' })
  // @ts-expect-error a codec has an id
  open({ name: 'a', codec: { encode: codec.encode, decode: codec.decode } })
  // @ts-expect-error bytes, not text
  open({ name: 'a', codec: { id: 1, encode: () => 'text', decode: () => 1 } })
  // @ts-expect-error true is no near cache
  open({ name: 'a', near: true })
  // @ts-expect-error copies or frozen
  open({ name: 'a', near: { objects: 'shared' } })
  // @ts-expect-error a unit that no duration has
  const weeks: Duration = '2w'
  // @ts-expect-error powers of 1024 are lower case
  const large: Bytes = '5MB'
  // @ts-expect-error an array of tags
  cache.set('a', 1, { tags: 'x' })
  // @ts-expect-error no such option
  cache.set('a', 1, { lifetime: 5 })
  void [weeks, large]
}

export function eventsAreTyped(cache: SharedCache, message: CacheMessage): void {
  cache.on('evict', (event) => same<typeof event, GoneEvent>())
  cache.on('expire', ({ key }) => same<typeof key, Key | undefined>())
  cache.on('damage', (event) => same<typeof event, DamageEvent>())
  cache.off('detached', ({ name, path }) => void (name + path))
  same<
    keyof CacheEvents,
    'evict' | 'expire' | 'damage' | 'repaired' | 'resized' | 'detached' | 'unstored' | 'mismatch'
  >()
  same<Stats['lockWaitTimes'], readonly LockWaitBucket[]>()
  same<CacheMessage['namespace'], string>()
  cache.stats({ scope: 'namespace' })
  // @ts-expect-error messages are read-only
  message.name = 'x'
  // @ts-expect-error no such scope
  cache.stats({ scope: 'process' })
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
