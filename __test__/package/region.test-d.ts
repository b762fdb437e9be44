/**
 * What the compiler must accept and refuse of regions. Checked with all other sources; nothing here runs.
 */
import { openRegion } from '../../index.ts'
import type { Region, RegionInfo, RegionLock, SharedCache, regions } from '../../index.ts'

/** Fails to compile unless both are the same type. */
function same<A, B>(..._: (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? [] : [never]): void {}

export function typesHold(cache: SharedCache, region: Region, all: typeof regions): void {
  same<ReturnType<typeof cache.region>, Region>()
  same<typeof region.buffer, ArrayBuffer>()
  same<ReturnType<typeof region.lock>, RegionLock>()
  same<ReturnType<typeof region.tryLock>, RegionLock | undefined>()
  same<ReturnType<typeof all.inspect>, RegionInfo | undefined>()
  const sum: number = region.withLock(({ recovered }) => (recovered ? 0 : 1), { timeout: '1s' })
  using own = openRegion({ cache: 'app', name: 'x', size: '4kb', directory: undefined })
  using lock = own.lock({ timeout: sum })

  // @ts-expect-error A region has a size.
  openRegion({ cache: 'app', name: 'x' })
  // @ts-expect-error It is no duration.
  own.lock({ timeout: 'soon' })
  // @ts-expect-error The bytes are where they are.
  own.buffer = new ArrayBuffer(8)
  // @ts-expect-error A lock tells, it is not told.
  lock.recovered = true
}
