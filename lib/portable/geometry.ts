/**
 * The sizes of a segment: the same numbers as in a native segment of these options, so that both have room for the same
 * entries. `crates/core/src/layout/geometry.rs` is the original.
 */
import { invalid } from './failure.ts'

/** Bytes of a unit. Room is counted in units. */
export const UNIT = 64

const MIN_SIZE = 2 * 2 ** 20
const MAX_SIZE = 2 ** 40
const MAX_ENTRY = 2 ** 30
const SHARD_BYTES = 16 * 2 ** 20
const PAGE = 4096

/** Bytes in front of the first shard: header, process table, namespaces, quotas, subscriptions. */
const META_AT = 4096 + 327_936 + 1024 * (64 + 4 + 4 * 16 + 1) + 64 * 32 + (64 + 1024 + 4096 * 16)
/** The control block of a shard, and its journal. */
const CONTROL_BYTES = 320 + 4096
/** The counts of the namespaces, and the queues of their quotas. */
const TALLIES_BYTES = 1024 * 64 + 64 * 64
/** In front of the tag chains: the horizon. */
const TAG_CONTROL = 64
const TAG_RECORD = 32
const TAG_HEAD = 4
const MIN_TAG_RECORDS = 1024
const LINES_PER_TAG_RECORD = 4
const RING_CONTROL = 64
/** Bytes of a unit in the index, the bitmap, the ghosts and the tag records, times 1,024. */
const OVERHEAD = 8280
const MAX_GROWTHS = 8
const TELLING_BITS = 6
const WORDS_PER_LINE = 7
const RUNS_PER_EXTENT = 7

/** The eviction policy. */
export type Policy = 's3-fifo' | 'lru' | 'none'

/** The sizes of a segment. A resize changes them in place. */
export interface Geometry {
  /** Bytes. */
  readonly size: number
  readonly shards: number
  /** Units of each shard; the first is never used. */
  readonly units: number
  /** Maximum bytes of key and value. */
  readonly maxEntry: number
  readonly eviction: Policy
  /** Maximum bytes of a message with its channel. */
  readonly maxMessage: number
  /** Bytes for entries. */
  readonly capacity: number
}

/** Plans a segment. Throws `ERR_INVALID_ARGUMENT`. */
export function plan(size: number, maxEntry: number | undefined, eviction: string): Geometry {
  if (eviction !== 's3-fifo' && eviction !== 'lru' && eviction !== 'none') throw invalid(`eviction is "${eviction}"`)
  if (!(size >= MIN_SIZE && size <= MAX_SIZE)) {
    throw invalid(`size is ${size} bytes; it must be ${MIN_SIZE} (2mb) to ${MAX_SIZE} (1tb)`)
  }
  if (maxEntry !== undefined && maxEntry > MAX_ENTRY) {
    throw invalid(`maxEntrySize is ${maxEntry} bytes; it can be ${MAX_ENTRY} (1gb) at most`)
  }
  const length = roundUp(size, PAGE)
  let shards = Math.ceil(length / SHARD_BYTES)
  for (;;) {
    const perShard = Math.floor((length - META_AT) / shards)
    const messages = ringBytes(perShard / 64, 128 * 1024)
    const units = unitsOf(length, shards, perShard, messages)
    const quarter = Math.floor(units / 4) * UNIT
    if ((maxEntry ?? 0) <= quarter) {
      return {
        size: length,
        shards,
        units,
        maxEntry: maxEntry ?? quarter - 2 * UNIT,
        eviction,
        maxMessage: Math.floor(messages / 8 / 4) * 8,
        capacity: shards * (units - 1) * UNIT,
      }
    }
    if (shards === 1) {
      throw invalid(
        `maxEntrySize is ${maxEntry} bytes; in ${length} bytes it can be ${quarter} at most (a quarter of the space)`,
      )
    }
    shards = Math.floor(shards / 2) + (shards % 2)
  }
}

/** The sizes of the segment after a resize. The maximum entry follows its default, or stays. */
export function planAgain({ units, maxEntry, eviction }: Geometry, size: number): Geometry {
  const isDefault = maxEntry === Math.floor(units / 4) * UNIT - 2 * UNIT
  return plan(size, isDefault ? undefined : maxEntry, eviction)
}

/** Units of an entry with a body of these bytes. */
export function unitsFor(bodyBytes: number): number {
  return 1 + Math.ceil(bodyBytes / UNIT)
}

/** Free units that the native engine needs to store an entry of these units. */
export function unitsNeeded(units: number): number {
  const body = units - 1
  return 1 + body + Math.ceil(body / RUNS_PER_EXTENT) + 1
}

function ringBytes(share: number, most: number): number {
  return Math.floor(Math.min(Math.max(Math.floor(share), 32 * 1024), most) / 64) * 64
}

function unitsOf(length: number, shards: number, perShard: number, messages: number): number {
  const changes = ringBytes(perShard / 128, 64 * 1024)
  const fixed = CONTROL_BYTES + TALLIES_BYTES + changes + messages + 2 * RING_CONTROL
  let units = Math.floor(((perShard - fixed) * 1024) / (UNIT * 1024 + OVERHEAD))
  while (spaceAt(shards, units, changes + messages) + shards * units * UNIT > length) {
    units -= Math.floor(units / 512) + 1
  }
  return units
}

/** The offset behind all that is not room for entries. */
function spaceAt(shards: number, units: number, rings: number): number {
  const unitBits = Math.max(Math.floor(Math.log2(units)) + 1, 16)
  const growths = Math.min(Math.max(32 - unitBits - TELLING_BITS, 0), MAX_GROWTHS)
  const firstLines = Math.ceil(Math.ceil(units / (2 * WORDS_PER_LINE)) / 2 ** growths)
  const mainLines = firstLines * 2 ** growths
  const lines = mainLines + Math.ceil(mainLines / 4)
  const bitmapAt = CONTROL_BYTES + lines * 64
  const ghostsAt = roundUp(bitmapAt + Math.ceil(units / 64) * 8, 64)
  const ghostSets = Math.max(Math.floor(Math.floor(units / 4) / 8), 1)
  const talliesAt = roundUp(ghostsAt + ghostSets * 8 * 4, 64)
  const metaBytes = talliesAt + TALLIES_BYTES + rings + 2 * RING_CONTROL
  const tagRecords = Math.max(Math.floor((lines * shards) / LINES_PER_TAG_RECORD), MIN_TAG_RECORDS)
  const tagsAt = roundUp(META_AT + shards * metaBytes + shards, 64)
  return roundUp(tagsAt + TAG_CONTROL + roundUp(tagRecords * TAG_HEAD, 64) + tagRecords * TAG_RECORD, PAGE)
}

function roundUp(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to
}
