/**
 * The segments of this thread by name and directory: open, list, inspect, destroy.
 */
import { realpathSync } from 'node:fs'
import { packageVersion } from '../native/addon.ts'
import type { NativePlace, NativeProcess, NativeSegmentInfo } from '../native/addon.ts'
import type { Clock } from './clock.ts'
import { failure, invalid } from './failure.ts'
import { UNIT, plan } from './geometry.ts'
import { SCHEME } from './marks.ts'
import { Segment } from './segment.ts'

/** The layout that `inspect` reports. It says nothing about the native engine's. */
export const LAYOUT_VERSION = 1

const segments = new Map<string, Segment>()

/** What is opened, and how a new segment is made. */
export interface Wanted extends NativePlace {
  readonly name: string
  readonly size: number
  readonly maxEntrySize?: number | undefined
  readonly eviction: string
  /** Default: true. */
  readonly create?: boolean | undefined
}

/** Opens a segment, or creates it with this clock. Throws `ERR_NO_SEGMENT` if it must not. */
export function openSegment(wanted: Wanted, newClock: () => Clock): { segment: Segment; created: boolean } {
  checkName(wanted.name)
  const geometry = plan(wanted.size, wanted.maxEntrySize, wanted.eviction)
  const path = pathOf(wanted.name, wanted)
  const known = segments.get(path)
  if (known !== undefined) return { segment: known, created: false }
  if (wanted.create === false) throw failure('ERR_NO_SEGMENT', `there is no segment ${JSON.stringify(wanted.name)}`)
  const segment = new Segment(wanted.name, path, geometry, newClock())
  segments.set(path, segment)
  return { segment, created: true }
}

/** The segments of a directory, in the order of their names. */
export function listSegments(place: NativePlace): NativeSegmentInfo[] {
  const found = [...segments.values()].filter(({ name, path }) => path === tryPathOf(name, place))
  return found.sort((a, b) => (a.name < b.name ? -1 : 1)).map(infoOf)
}

export function inspectSegment(name: string, place: NativePlace): NativeSegmentInfo | null {
  const segment = segments.get(pathOf(name, place))
  return segment === undefined ? null : infoOf(segment)
}

/** False: there is none. */
export function destroySegment(name: string, place: NativePlace, force: boolean): boolean {
  const path = pathOf(name, place)
  const segment = segments.get(path)
  if (segment === undefined) return false
  if (segment.handles > 0 && !force) throw failure('ERR_SEGMENT_IN_USE', '1 processes are attached')
  segments.delete(path)
  segment.destroy()
  return true
}

export function checkName(name: string): void {
  if (/^[A-Za-z0-9._-]{1,64}$/.test(name)) return
  throw invalid(`name is ${JSON.stringify(name)}; it must be 1 to 64 of A-Z a-z 0-9 . _ -`)
}

/**
 * The place of a segment or a region. Throws unless the directory exists. Groups are told apart as they were given: their
 * names are not looked up, and no process of another user is there to share with.
 */
export function pathOf(name: string, { directory, group }: NativePlace): string {
  const start = group === undefined ? SCHEME : `${SCHEME}g${group}/`
  if (directory === undefined) return start + name
  try {
    return `${start}${realpathSync(directory)}/${name}`
  } catch (error) {
    const text = `directory ${directory}: ${(error as Error).message}`
    if ((error as NodeJS.ErrnoException).code === 'EACCES') throw failure('ERR_PERMISSION', text)
    throw invalid(text)
  }
}

/** The same for a list: a directory that does not exist has nothing. */
export function tryPathOf(name: string, place: NativePlace): string | undefined {
  try {
    return pathOf(name, place)
  } catch {
    return undefined
  }
}

/** This process, if it has something open since this moment. */
export function processes(isOpen: boolean, since: number, now: number): NativeProcess[] {
  return isOpen ? [{ slot: 0, pid: process.pid, age: now - since, packageVersion: packageVersion() }] : []
}

function infoOf(segment: Segment): NativeSegmentInfo {
  const { name, path, geometry, clock, store } = segment
  const usedBytes = store.usedUnits * UNIT
  let entries = 0
  for (const space of store.spaces()) if (space.purpose === 0) entries += space.entries.size
  return {
    name,
    path,
    size: geometry.size,
    reservedBytes: store.mostUnits * UNIT,
    layoutVersion: LAYOUT_VERSION,
    readable: true,
    age: clock.now() - segment.createdAt,
    eviction: geometry.eviction,
    maxEntrySize: geometry.maxEntry,
    shards: geometry.shards,
    entries,
    usedBytes,
    capacityBytes: geometry.capacity,
    processes: processes(segment.handles > 0, segment.attachedAt, clock.now()),
  }
}
