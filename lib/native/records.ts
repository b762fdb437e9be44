/**
 * The records of a snapshot, as `snapshotPage` returns them and `restoreRecords` takes them. The form is that of
 * `crates/core/src/reading/export.rs`; docs/snapshot-format.md describes it.
 */
import { Kind, MAX_KEY, MAX_TAGS } from './layout.ts'

/** Bytes of a record in front of clock, tags, key and value. */
export const RECORD_BYTES = 56

/** Offsets in a record. All numbers are little endian. */
export const RecordAt = {
  ValueLength: 0,
  Kind: 4,
  Flags: 5,
  Keyspace: 6,
  TagCount: 7,
  KeyLength: 8,
  Namespace: 10,
  /** 1 and the number of the version of the application; 0: none. */
  OfVersion: 12,
  Version: 16,
  LifeOfRoot: 24,
  LifeOfNamespace: 28,
  Written: 32,
  Deadline: 40,
  Stale: 48,
  /** Of a record with tags; the tags follow. */
  Clock: 56,
} as const

/** Bits of a record. */
export const RecordFlag = {
  /** The key was given as bytes. */
  Binary: 1,
  /** It has a clock and tags. */
  Tagged: 2,
  /** A tag has made it stale. */
  StaleByTag: 4,
} as const

/** What a record is for: a value, or the result of a call of `once`. */
export const RecordSpace = { Values: 0, Once: 6 } as const

/** Maximum number of versions of the application in a segment. */
export const MAX_VERSIONS = 24
/** The kind of records of coordination, which are never in a snapshot. */
const COORDINATION = 10
const ALL_FLAGS = RecordFlag.Binary | RecordFlag.Tagged | RecordFlag.StaleByTag
/** Lengths of the values of kinds with one length. */
const LENGTHS: Readonly<Record<number, number>> = { [Kind.Number]: 8, [Kind.Simple]: 1, [Kind.BigInt64]: 8 }
/** Times and versions are below 2^53: the upper half of the word is below this. */
const MAX_UPPER = 2 ** 21

/** Bytes between the fixed part of a record and its key. */
function extrasAt(bytes: Buffer, at: number): number {
  const isTagged = ((bytes[at + RecordAt.Flags] as number) & RecordFlag.Tagged) !== 0
  return isTagged ? 8 + 8 * (bytes[at + RecordAt.TagCount] as number) : 0
}

/** Offset of the key of the record at `at`. */
export function keyOffset(bytes: Buffer, at: number): number {
  return at + RECORD_BYTES + extrasAt(bytes, at)
}

/** Bytes of the record with a fixed part at `at`. */
export function recordLength(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + RecordAt.ValueLength)
  return RECORD_BYTES + extrasAt(bytes, at) + bytes.readUInt16LE(at + RecordAt.KeyLength) + value
}

/** Why the fixed part of a record cannot be one; undefined: it can. */
export function faultOf(bytes: Buffer, at: number): string | undefined {
  const kind = bytes[at + RecordAt.Kind] as number
  const flags = bytes[at + RecordAt.Flags] as number
  const space = bytes[at + RecordAt.Keyspace] as number
  const tags = bytes[at + RecordAt.TagCount] as number
  const key = bytes.readUInt16LE(at + RecordAt.KeyLength)
  const length = LENGTHS[kind]
  if (kind === 0 || kind === COORDINATION) return `there is no kind ${kind} of values`
  if ((flags & ~ALL_FLAGS) !== 0) return `it has the unknown flags ${flags}`
  if (space !== RecordSpace.Values && space !== RecordSpace.Once) return `it has the unknown keyspace ${space}`
  if (tags > MAX_TAGS || (tags > 0 && (flags & RecordFlag.Tagged) === 0)) return `it has ${tags} tags`
  if (key === 0 || key > MAX_KEY) return `its key has ${key} bytes`
  if (length !== undefined && bytes.readUInt32LE(at + RecordAt.ValueLength) !== length)
    return 'its value has a wrong length'
  const version = bytes.readUInt32LE(at + RecordAt.OfVersion)
  if (version > MAX_VERSIONS || (version > 0 && space !== RecordSpace.Values)) return 'it has an impossible version'
  for (const field of [RecordAt.Version, RecordAt.Written, RecordAt.Deadline, RecordAt.Stale]) {
    if (bytes.readUInt32LE(at + field + 4) >= MAX_UPPER) return 'a number is too large'
  }
  return undefined
}

/** The number of a namespace in the snapshot. */
export function namespaceOf(bytes: Buffer, at: number): number {
  return bytes.readUInt16LE(at + RecordAt.Namespace)
}

/** The number of the version of the application in the snapshot; undefined: none. */
export function versionOf(bytes: Buffer, at: number): number | undefined {
  const above = bytes.readUInt32LE(at + RecordAt.OfVersion)
  return above === 0 ? undefined : above - 1
}

/** A whole number of 8 bytes. */
export function wordAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) + bytes.readUInt32LE(at + 4) * 2 ** 32
}

/** Writes a whole number, from 0 to 2^53, as 8 bytes. */
export function putWord(bytes: Buffer, at: number, word: number): void {
  bytes.writeUInt32LE(word % 2 ** 32, at)
  bytes.writeUInt32LE(Math.floor(word / 2 ** 32), at + 4)
}
