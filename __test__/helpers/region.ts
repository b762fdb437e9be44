/**
 * A region of its own for each test, gone when the test is over, also if it failed.
 */
import type { ExecutionContext } from 'ava'
import { openRegion, regions } from '../../index.ts'
import type { Region, RegionOptions, SegmentOptions } from '../../index.ts'
import { segmentName } from './segment.ts'

/** Names that nobody else uses: of a cache that is never opened, and of a region of it that is destroyed at the end. */
export function regionName(t: ExecutionContext, where: SegmentOptions = {}): { cache: string; name: string } {
  const cache = segmentName(t, where)
  t.teardown(() => {
    regions.destroy(cache, 'bytes', { ...where, force: true })
  })
  return { cache, name: 'bytes' }
}

/** Opens a region that is closed when the test ends; of a new name, unless `options` has one. */
export function openTestRegion(t: ExecutionContext, options: Partial<RegionOptions> = {}): Region {
  const region = openRegion({ size: 4096, ...regionName(t, { directory: options.directory }), ...options })
  t.teardown(() => region.close())
  return region
}
