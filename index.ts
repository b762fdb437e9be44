/** cache-machine: a cache in shared memory for all processes and threads of one host. Re-exports only. */
export { CacheError } from './lib/errors.ts'
export type { CacheErrorCode } from './lib/errors.ts'
export type { CacheEvents, DamageEvent, DetachedEvent, RepairedEvent } from './lib/events.ts'
export type {
  DeleteOptions,
  Eviction,
  ExpiryOptions,
  IncrOptions,
  OpenOptions,
  ReplaceOptions,
  SegmentOptions,
  SetOptions,
  WaitOptions,
} from './lib/options.ts'
export { segments } from './lib/segments.ts'
export type { DestroyOptions, SegmentInfo, SegmentProcess, Segments } from './lib/segments.ts'
export { SharedCache, open } from './lib/shared-cache.ts'
export type { Stats } from './lib/stats.ts'
export type { Bytes, Duration, Milliseconds } from './lib/units.ts'
export type { Entry, Key } from './lib/values.ts'
