/**
 * A region of its own for each test, which is destroyed when the test ends, also after a failure.
 */
import type { ExecutionContext } from 'ava'
import { openRegion, regions } from '../../index.ts'
import type { Region, RegionOptions, SegmentOptions } from '../../index.ts'
import { segmentName } from './segment.ts'

/** New names: of a cache that is never opened, and of a region of it that is destroyed at the end. */
export function regionName(t: ExecutionContext, where: SegmentOptions = {}): { cache: string; name: string } {
  const cache = segmentName(t, where)
  t.teardown(() => {
    regions.destroy(cache, 'bytes', { ...where, force: true })
  })
  return { cache, name: 'bytes' }
}

/** Opens a region that is closed when the test ends. Its name is new, unless `options` has one. */
export function openTestRegion(t: ExecutionContext, options: Partial<RegionOptions> = {}): Region {
  const region = openRegion({ size: 4096, ...regionName(t, { directory: options.directory }), ...options })
  t.teardown(() => region.close())
  return region
}
