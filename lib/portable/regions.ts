/**
 * Regions of this thread: named bytes with a lock.
 *
 * Caution: two ArrayBuffers cannot share bytes, so all handles of a region have the same one. It is emptied by the close
 * of the last handle, and the bytes stay for the next.
 */
import { Status } from '../native/layout.ts'
import type { NativePlace, NativeRegion, NativeRegionInfo } from '../native/addon.ts'
import type { NativeRegionCalls } from '../native/raw-calls.ts'
import { realClock } from './clock.ts'
import { closed, failure, invalid, statusOf } from './failure.ts'
import { nextId } from './handles.ts'
import { LAYOUT_VERSION, checkName, pathOf, processes, tryPathOf } from './segments.ts'

const MAX_REGION = 4 * 2 ** 30

interface RegionOptions extends NativePlace {
  readonly cache: string
  readonly name: string
  readonly size: number
}

interface Region {
  readonly cache: string
  readonly name: string
  readonly path: string
  readonly size: number
  readonly createdAt: number
  buffer: ArrayBuffer
  attachedAt: number
  handles: number
  isDestroyed: boolean
  /** The handle that holds the lock. */
  holder: number | undefined
  /** The last holder did not finish. */
  isSuspect: boolean
}

const regions = new Map<string, Region>()
const handles = new Map<number, Region>()

export function openRegion({ cache, name, size, ...place }: RegionOptions): NativeRegion {
  checkName(cache)
  checkName(name)
  if (!(size >= 1 && size <= MAX_REGION)) {
    throw invalid(`a region has 1 to ${MAX_REGION} (4gb) bytes; ${size} were asked for`)
  }
  const path = pathOf(`${cache}@${name}`, place)
  const known = regions.get(path)
  if (known !== undefined && known.size !== size) {
    throw failure('ERR_SEGMENT_MISMATCH', `the region exists with ${known.size} bytes instead of ${size}`)
  }
  const region = known ?? newRegion(cache, name, path, size)
  regions.set(path, region)
  if (region.handles++ === 0) region.attachedAt = realClock.now()
  const id = nextId()
  handles.set(id, region)
  return { id, created: known === undefined, path }
}

export function bufferOf(id: number): ArrayBuffer {
  return find(id).buffer
}

export function isAttached(id: number): boolean {
  return !find(id).isDestroyed
}

/** The calls on the lock. A wait would be for this thread itself. */
export function regionCallsOf(id: number): NativeRegionCalls {
  return {
    lock() {
      const region = handles.get(id)
      if (region === undefined) return -statusOf('ERR_CLOSED')
      if (region.isDestroyed) return -Status.Detached
      if (region.holder !== undefined) return -Status.HeldHere
      region.holder = id
      return region.isSuspect ? 1 : 0
    },
    unlock(finished) {
      const region = handles.get(id)
      if (region === undefined) return -statusOf('ERR_CLOSED')
      return unlock(region, id, finished === 1)
    },
  }
}

export function closeRegion(id: number): void {
  const region = handles.get(id)
  if (region === undefined) return
  unlock(region, id, false)
  handles.delete(id)
  if (--region.handles > 0) return
  // The copy takes the memory, and leaves the buffer empty.
  region.buffer = structuredClone(region.buffer, { transfer: [region.buffer] })
}

/** The regions of a directory, in the order of their names. */
export function listRegions(place: NativePlace): NativeRegionInfo[] {
  const found = [...regions.values()].filter(({ cache, name, path }) => path === tryPathOf(`${cache}@${name}`, place))
  return found.sort((a, b) => (a.cache + a.name < b.cache + b.name ? -1 : 1)).map(infoOf)
}

export function inspectRegion(cache: string, name: string, place: NativePlace): NativeRegionInfo | null {
  const region = regions.get(pathOf(`${cache}@${name}`, place))
  return region === undefined ? null : infoOf(region)
}

/** False: there is none. Handles keep its bytes, and can no longer take its lock. */
export function destroyRegion(cache: string, name: string, place: NativePlace, force: boolean): boolean {
  const path = pathOf(`${cache}@${name}`, place)
  const region = regions.get(path)
  if (region === undefined) return false
  if (region.handles > 0 && !force) throw failure('ERR_SEGMENT_IN_USE', '1 processes are attached')
  regions.delete(path)
  region.isDestroyed = true
  return true
}

function newRegion(cache: string, name: string, path: string, size: number): Region {
  return {
    cache,
    name,
    path,
    size,
    createdAt: realClock.now(),
    buffer: new ArrayBuffer(size),
    attachedAt: 0,
    handles: 0,
    isDestroyed: false,
    holder: undefined,
    isSuspect: false,
  }
}

function unlock(region: Region, id: number, finished: boolean): number {
  if (region.holder !== id) return 0
  region.holder = undefined
  region.isSuspect = !finished
  return region.isDestroyed ? -Status.Detached : 0
}

function find(id: number): Region {
  const region = handles.get(id)
  if (region === undefined) throw closed('region')
  return region
}

function infoOf({ cache, name, path, size, createdAt, handles: open, attachedAt }: Region): NativeRegionInfo {
  const now = realClock.now()
  return {
    cache,
    name,
    path,
    layoutVersion: LAYOUT_VERSION,
    readable: true,
    size,
    age: now - createdAt,
    processes: processes(open > 0, attachedAt, now),
  }
}
