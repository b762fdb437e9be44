/** cache-machine: a cache in shared memory for all processes and threads of one host. This file only re-exports. */
export type { Codec } from './lib/codec/codec.ts'
export type { CollectionOptions } from './lib/collections/collection.ts'
export { Transaction } from './lib/transactions/transaction.ts'
export type { TransactionOptions } from './lib/transactions/run.ts'
export { SharedHash } from './lib/collections/hash.ts'
export type { FieldOptions } from './lib/collections/hash.ts'
export { SharedList } from './lib/collections/list.ts'
export type { PushOptions } from './lib/collections/list.ts'
export { SharedSet } from './lib/collections/set.ts'
export { SharedSortedSet } from './lib/collections/sorted-set.ts'
export type { AddOptions, RankOptions, ScoreOptions, ScoreRangeOptions, Scored } from './lib/collections/sorted-set.ts'
export type { CacheMessage } from './lib/segment/diagnostics.ts'
export type { Engine } from './lib/engine/engine.ts'
export { CacheError } from './lib/errors.ts'
export type { CacheErrorCode } from './lib/errors.ts'
export type { Barrier } from './lib/coordination/barriers.ts'
export type { Condition } from './lib/coordination/conditions.ts'
export type { SharedEvent } from './lib/coordination/events.ts'
export type { Leadership } from './lib/coordination/elections.ts'
export type {
  CacheEvents,
  DamageEvent,
  DetachedEvent,
  GoneEvent,
  MismatchEvent,
  RemovalEvent,
  RepairedEvent,
  ResizedEvent,
  UnstoredEvent,
} from './lib/segment/events.ts'
export type { LabelValue, Labels, MetricType } from './lib/metrics/exposition.ts'
export type { LimitAlgorithm, LimitResult, Limiter, LimiterOptions } from './lib/coordination/limiter.ts'
export type {
  CollectedFamily,
  CollectedMetric,
  CollectedSeries,
  Counter,
  Gauge,
  GaugeOptions,
  Histogram,
  HistogramOptions,
  HistogramValue,
  MetricOptions,
  Metrics,
  PrometheusOptions,
} from './lib/metrics/instruments.ts'
export type { Change, WatchFilter } from './lib/messaging/changes.ts'
export type { ChannelMessage } from './lib/messaging/messages.ts'
export type { FeedOptions, StreamOptions } from './lib/messaging/streams.ts'
export type { LogEntry, LogOption } from './lib/arguments/log-option.ts'
export type { Load, LoadContext, LoadOptions, OnceOptions, WrapOptions } from './lib/arguments/load-options.ts'
export type {
  DeleteOptions,
  DeletePrefixOptions,
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
} from './lib/arguments/options.ts'
export type {
  AcquireOptions,
  Lock,
  LockOptions,
  TryLockOptions,
  TurnOptions,
  WithLockOptions,
} from './lib/coordination/locks.ts'
export { Region, openRegion, regions } from './lib/segment/region.ts'
export type { RegionInfo, RegionLock, RegionLockOptions, RegionOptions, Regions } from './lib/segment/region.ts'
export type { SnapshotCompression } from './lib/snapshots/format.ts'
export type { SnapshotKeeper } from './lib/snapshots/keeper.ts'
export type {
  KeepSnapshotsOptions,
  RestoreInfo,
  RestoreOptions,
  SnapshotInfo,
  SnapshotOptions,
} from './lib/snapshots/options.ts'
export type { Health, HealthCheck, HealthStatus } from './lib/segment/health.ts'
export { segments } from './lib/segment/segments.ts'
export type { DestroyOptions, ResizeResult, SegmentInfo, SegmentProcess, Segments } from './lib/segment/segments.ts'
export type { DeadLetter, Queue, QueueCounts, QueueItem, QueueOptions } from './lib/coordination/queues.ts'
export type { Semaphore, SemaphoreCounts } from './lib/coordination/semaphores.ts'
export { SharedCache, open } from './lib/cache/shared-cache.ts'
export type { LockWaitBucket, OwnCounts, Stats, VersionStats } from './lib/segment/stats.ts'
export type {
  CacheStore,
  Item,
  LimiterFactory,
  MessageBus,
  MetricsFactory,
  NamespacedStore,
  TaggedStore,
  Walk,
} from './lib/cache/store.ts'
export type { Bytes, Duration, Milliseconds } from './lib/arguments/units.ts'
export type { Entry, Key } from './lib/arguments/keys.ts'
