/**
 * Loads the native addon. Its ordinary calls throw an `Error` with one of the codes in `errors.ts`, or with
 * `ERR_DETACHED` on a detached handle.
 *
 * Their types and docs are those of `native/index.d.ts`, which the build makes from `crates/node/src`. The hot calls of
 * a handle are in `raw-calls.ts`.
 */
import type * as types from '#native'
import { addon, failure, ownVersion } from '#loader'
import type { NativeRegionCalls, RawCalls } from './raw-calls.ts'
import type { CacheError } from '../errors.ts'
import { nativeUnavailable } from './unavailable.ts'

export type {
  BindingChange as NativeChange,
  BindingCheck as NativeCheck,
  BindingDeletion as NativeDeletion,
  BindingDimensions as NativeDimensions,
  BindingExport as NativeExport,
  BindingExportState as NativeExportState,
  BindingFlight as NativeFlight,
  BindingHeldPermits as NativeHeldPermits,
  BindingMetric as NativeMetric,
  BindingOpened as NativeOpened,
  BindingOpenOptions as NativeOpenOptions,
  BindingPage as NativePage,
  BindingPermit as NativePermit,
  BindingTurn as NativeTurn,
  BindingPlace as NativePlace,
  BindingProcess as NativeProcess,
  BindingQuota as NativeQuota,
  BindingRegion as NativeRegion,
  BindingRegionInfo as NativeRegionInfo,
  BindingRegionOptions as NativeRegionOptions,
  BindingResized as NativeResized,
  BindingRestoreCounts as NativeRestoreCounts,
  BindingRestoreRules as NativeRestoreRules,
  BindingSegmentInfo as NativeSegmentInfo,
  BindingShard as NativeShard,
  BindingStats as NativeStats,
  BindingStreamItem as NativeStreamItem,
  BindingTallies as NativeTallies,
  BindingTarget as NativeTarget,
} from '#native'

/** The ordinary calls, and the two that give the raw calls of a handle. */
export interface Native extends Omit<typeof types, 'rawCalls' | 'regionCalls'> {
  /** The raw calls of an open handle; to be called once per handle. */
  rawCalls(id: number): RawCalls
  /** The calls on the lock of a region; to be called once per handle. */
  regionCalls(id: number): NativeRegionCalls
}

/** Whether the addon could be loaded. */
export const isLoaded: boolean = addon !== undefined

/** The version of this package; in a bundle `'unknown'`. */
export function packageVersion(): string {
  return ownVersion() ?? 'unknown'
}

/** Why the addon could not be loaded. */
export function loadError(): CacheError {
  return nativeUnavailable(failure ?? { reason: 'broken' })
}

/** The addon. Where it cannot be loaded, importing this module succeeds all the same, and the first call throws. */
export const native: Native = (addon as unknown as Native | undefined) ?? throwing()

function throwing(): Native {
  const call = (): never => {
    throw loadError()
  }
  return new Proxy({} as Native, { get: () => call })
}
