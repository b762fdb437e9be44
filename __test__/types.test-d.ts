/**
 * What the compiler must accept and refuse. Checked with all other sources; nothing here runs.
 */
import { open } from '../index.ts'
import type {
  CacheError,
  CacheErrorCode,
  Duration,
  Entry,
  Key,
  LimitResult,
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
