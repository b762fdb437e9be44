/** cache-machine: a cache in shared memory for all processes and threads of one host. Re-exports only. */
export type { Codec } from './lib/codec/codec.ts'
export type { CacheMessage } from './lib/diagnostics.ts'
export { CacheError } from './lib/errors.ts'
export type { CacheErrorCode } from './lib/errors.ts'
export type { Leadership } from './lib/elections.ts'
export type { CacheEvents, DamageEvent, DetachedEvent, GoneEvent, RepairedEvent } from './lib/events.ts'
export type { LabelValue, Labels } from './lib/exposition.ts'
export type { LimitAlgorithm, LimitResult, Limiter, LimiterOptions } from './lib/limiter.ts'
export type {
  Counter,
  Gauge,
  Histogram,
  HistogramOptions,
  HistogramValue,
  MetricOptions,
  Metrics,
  PrometheusOptions,
} from './lib/metrics.ts'
export type { Change, ChannelMessage, FeedOptions, WatchFilter } from './lib/feeds.ts'
export type { Load, LoadContext, LoadOptions, OnceOptions, WrapOptions } from './lib/load-options.ts'
export type {
  DeleteOptions,
  Eviction,
  ExpiryOptions,
  GetEntryOptions,
  IncrBigIntOptions,
  IncrOptions,
  InvalidateOptions,
  NamespaceOptions,
  NearOptions,
  OpenOptions,
  ReplaceOptions,
  ScanOptions,
  SegmentOptions,
  SetOptions,
  StatsOptions,
  StoreOptions,
  UpdateOptions,
  WaitOptions,
} from './lib/options.ts'
export type { Lock, LockOptions, TryLockOptions, TurnOptions } from './lib/locks.ts'
export { Region, openRegion, regions } from './lib/region.ts'
export type { RegionInfo, RegionLock, RegionLockOptions, RegionOptions, Regions } from './lib/region.ts'
export { segments } from './lib/segments.ts'
export type { DestroyOptions, SegmentInfo, SegmentProcess, Segments } from './lib/segments.ts'
export type { Semaphore, SemaphoreCounts } from './lib/semaphores.ts'
export { SharedCache, open } from './lib/shared-cache.ts'
export type { LockWaitBucket, Stats } from './lib/stats.ts'
export type { CacheStore, Item } from './lib/store.ts'
export type { Bytes, Duration, Milliseconds } from './lib/units.ts'
export type { Entry, Key } from './lib/values.ts'
