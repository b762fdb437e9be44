/**
 * Snapshots: entries as records, and records as entries, as in `crates/core/src/cache/snapshots.rs`.
 */
import type {
  NativeDeletion,
  NativeExport,
  NativeExportState,
  NativeRestoreCounts,
  NativeRestoreRules,
  NativeTarget,
} from '../native/addon.ts'
import { isCollection } from '../native/elements.ts'
import { Kind } from '../native/layout.ts'
import {
  RECORD_BYTES,
  RecordAt,
  RecordFlag,
  RecordSpace,
  faultOf,
  MAX_VERSIONS,
  keyOffset,
  namespaceOf,
  putWord,
  recordLength,
  versionOf,
  wordAt,
} from '../native/records.ts'
import { Purpose, isExpired, isOver, newSpace } from './entry.ts'
import type { Entry, Space } from './entry.ts'
import { Failure, invalid, statusOf } from './failure.ts'
import { bytesOf, readKey } from './keys.ts'
import type { StoredKey } from './keys.ts'
import { shifted } from './packed.ts'
import type { Segment } from './segment.ts'
import { salted, unsalted } from './tag-identity.ts'
import { isText, storedOf } from './values.ts'
import { placeOf, remember } from './walk.ts'

/** Maximum number of entries that one page or one step of a sweep looks at. */
const MAX_VISITS = 512
/** A cursor is the number of a space, above the order of an entry in it; order 0: the newest. */
const ORDERS = 2 ** 40

/** The next records of a namespace, of the root those of all. */
export function pageOfRecords(
  segment: Segment,
  namespace: number,
  cursor: number,
  epoch: number,
  most: number,
): NativeExport {
  const spaces = spacesOf(segment, namespace, [Purpose.Values, Purpose.Once])
  const records: Buffer[] = []
  let length = 0
  const next = walk(spaces, cursor, (entry) => {
    if (isExported(entry, segment.store.now())) {
      const record = recordOf(segment, entry, epoch)
      records.push(record)
      length += record.length
    }
    return length < most
  })
  return { records: new Uint8Array(Buffer.concat(records)), count: records.length, ...(next !== undefined && { next }) }
}

/** What has ended entries so far. */
export function stateOf(segment: Segment, namespace: number, since: number): NativeExportState {
  const { invalidations, tagClock, store } = segment
  const notes = invalidations.since(since)
  const invalidated = Buffer.alloc(notes.length * 24)
  for (const [index, note] of notes.entries()) {
    invalidated.writeBigUInt64LE(salted(note.tag, note.namespace), index * 24)
    putWord(invalidated, index * 24 + 8, note.removed)
    putWord(invalidated, index * 24 + 16, note.outdated)
  }
  const numbers = namespace === 0 ? [0, ...segment.namespaces.map((_, index) => index + 1)] : [namespace]
  return {
    clock: tagClock,
    horizon: invalidations.horizon,
    version: store.nextVersion - 1,
    invalidated: new Uint8Array(invalidated),
    versions: segment.versions.all().map(({ number, name }) => ({ number, name })),
    namespaces: numbers.map((number) => {
      const quota = store.quotas.settingOf(number)
      const name = number === 0 ? '' : (segment.namespaces[number - 1] as string)
      return { number, name, life: lifeOf(segment, number), ...(quota !== undefined && { quota }) }
    }),
  }
}

/** The namespace of this name, or that of the handle, as a target of the namespace `from` of a snapshot. */
export function targetOf(segment: Segment, name: string | undefined, own: number, from: number): NativeTarget {
  const to = name === undefined ? own : segment.namespaceNumber(name)
  const hasQuota = segment.store.quotas.settingOf(to) !== undefined
  return { from, to, life: lifeOf(segment, to), hasQuota }
}

/** Stores records, one behind the other. */
export function importRecords(segment: Segment, given: Uint8Array, rules: NativeRestoreRules): NativeRestoreCounts {
  const records = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  const targets = new Map(rules.targets.map((target) => [target.from, target]))
  const counts = { stored: 0, existing: 0, ended: 0, expired: 0, noRoom: 0, tooLarge: 0 }
  for (let at = 0; at < records.length;) {
    if (at + RECORD_BYTES > records.length || faultOf(records, at) !== undefined) throw malformed()
    const end = at + recordLength(records, at)
    const target = targets.get(namespaceOf(records, at))
    if (end > records.length || target === undefined) throw malformed()
    counts[importOne(segment, records.subarray(at, end), target, rules)]++
    at = end
  }
  return counts
}

/** Deletes values that are older than a restore, one step of them. */
export function sweepOlder(segment: Segment, namespace: number, cursor: number, floor: number): NativeDeletion {
  let deleted = 0
  const next = walk(spacesOf(segment, namespace, [Purpose.Values]), cursor, (entry) => {
    if (entry.live && entry.version <= floor && segment.store.delete(entry)) deleted++
    return true
  })
  return { deleted, ...(next !== undefined && { next }) }
}

function malformed(): Failure {
  return invalid('a record of the snapshot is malformed')
}

function lifeOf({ store }: Segment, namespace: number): number[] {
  return [store.space(namespace, Purpose.Values).life, 0]
}

function spacesOf({ store, namespaces }: Segment, namespace: number, purposes: readonly number[]): Space[] {
  const numbers = namespace === 0 ? Array.from({ length: namespaces.length + 1 }, (_, index) => index) : [namespace]
  return numbers.flatMap((number) => [
    ...purposes.map((purpose) => store.space(number, purpose)),
    // The same number of places for each namespace, since a cursor counts them.
    ...Array.from({ length: MAX_VERSIONS }, (_, index) => store.usedSpace(number, Purpose.Values, index + 1) ?? EMPTY),
  ])
}

const EMPTY = newSpace(0, Purpose.Values)

/** Visits entries from the cursor on until `visit` is false or enough were visited. Returns where to go on. */
function walk(spaces: readonly Space[], cursor: number, visit: (entry: Entry) => boolean): number | undefined {
  let index = Math.floor(cursor / ORDERS)
  let order = cursor % ORDERS
  let visits = 0
  let wantsMore = true
  for (; index < spaces.length; index++, order = 0) {
    const space = spaces[index] as Space
    let entry = order === 0 ? space.last : placeOf(space, order)
    while (entry !== undefined && wantsMore && visits < MAX_VISITS) {
      const { before } = entry
      visits++
      wantsMore = visit(entry)
      entry = before
    }
    if (entry !== undefined) {
      remember(space, entry)
      return index * ORDERS + entry.order
    }
    if (!wantsMore || visits >= MAX_VISITS) return (index + 1) * ORDERS
  }
  return undefined
}

function isExported(entry: Entry, now: number): boolean {
  if (!entry.live || isOver(entry, now)) return false
  const isValue = entry.space.purpose === Purpose.Values && entry.kind !== Kind.Absent
  return isValue || !isExpired(entry, now)
}

function recordOf(segment: Segment, entry: Entry, epoch: number): Buffer {
  const { space, tags } = entry
  const key = bytesOf(entry.text)
  const value = isCollection(entry.kind) ? shifted(entry.value as Uint8Array, epoch) : bytesOfValue(entry)
  const isTagged = tags.length > 0
  const record = Buffer.alloc(RECORD_BYTES + (isTagged ? 8 + tags.length * 8 : 0) + key.length + value.length)
  record.writeUInt32LE(value.length, RecordAt.ValueLength)
  record[RecordAt.Kind] = entry.kind
  record[RecordAt.Flags] =
    (entry.binary ? RecordFlag.Binary : 0) |
    (isTagged ? RecordFlag.Tagged : 0) |
    (entry.outdated ? RecordFlag.StaleByTag : 0)
  record[RecordAt.Keyspace] = space.purpose
  record[RecordAt.TagCount] = tags.length
  record.writeUInt16LE(key.length, RecordAt.KeyLength)
  record.writeUInt16LE(space.namespace, RecordAt.Namespace)
  record.writeUInt32LE(space.version, RecordAt.OfVersion)
  putWord(record, RecordAt.Version, entry.version)
  const life = space.purpose === Purpose.Values ? space.life : 0
  record.writeUInt32LE(life, RecordAt.LifeOfRoot)
  putWord(record, RecordAt.Written, atEpoch(entry.written, epoch))
  putWord(record, RecordAt.Deadline, entry.deadline === 0 ? 0 : atEpoch(entry.deadline, epoch))
  putWord(record, RecordAt.Stale, entry.stale)
  if (isTagged) {
    putWord(record, RecordAt.Clock, segment.tagClock)
    for (const [index, tag] of tags.entries()) {
      record.writeBigUInt64LE(salted(tag, space.namespace), RecordAt.Clock + 8 + index * 8)
    }
  }
  record.set(key, keyOffset(record, 0))
  record.set(value, record.length - value.length)
  return record
}

function atEpoch(moment: number, epoch: number): number {
  return Math.max(1, Math.round(moment + epoch))
}

function importOne(
  segment: Segment,
  record: Buffer,
  { from, to, life }: NativeTarget,
  rules: NativeRestoreRules,
): keyof NativeRestoreCounts {
  const { store } = segment
  const purpose = record[RecordAt.Keyspace] as number
  const version = versionOf(record, 0)
  const target = version === undefined ? undefined : rules.versions.find((known) => known.from === version)
  if (version !== undefined && target === undefined) throw malformed()
  const space = store.space(to, purpose, target === undefined ? 0 : target.to + 1)
  if (purpose === RecordSpace.Values && space.life !== life[0]) return 'ended'
  const key = keyOf(record)
  const value = valueOf(record, rules.epoch)
  const tags = tagsOf(record, from)
  const now = store.now()
  const lifetime = lifetimeOf(record, rules.epoch, now)
  if (lifetime === undefined) return 'expired'
  if (key.length + value.length + tags.length * 8 > store.geometry.maxEntry) return 'tooLarge'
  const existing = space.entries.get(key.text)
  if (existing !== undefined && store.isCurrent(existing) && (!rules.overwrite || existing.version > rules.floor)) {
    return 'existing'
  }
  const fate = segment.invalidations.fate(to, tags, rules.madeAt)
  if (fate === 'dead') return 'ended'
  const { deadline, stale } = lifetime
  const written = Math.min(now, Math.max(0, wordAt(record, RecordAt.Written) - rules.epoch))
  const kept = { keepTtl: false, keepTags: false, ttl: 0 }
  const write = { ...value, ...kept, stale, tags, restored: { deadline, written } }
  try {
    if (store.write(space, key, write) === undefined) return 'noRoom'
  } catch (error) {
    if (error instanceof Failure && error.status === statusOf('ERR_NO_SPACE')) return 'noRoom'
    throw error
  }
  const stored = space.entries.get(key.text)
  const isStale = fate === 'stale' || ((record[RecordAt.Flags] as number) & RecordFlag.StaleByTag) !== 0
  if (stored !== undefined && isStale) store.outdate(stored)
  return 'stored'
}

function keyOf(record: Buffer): StoredKey {
  const at = keyOffset(record, 0)
  const bytes = record.subarray(at, at + record.readUInt16LE(RecordAt.KeyLength))
  const isBinary = ((record[RecordAt.Flags] as number) & RecordFlag.Binary) !== 0
  return { ...readKey(bytes), binary: isBinary }
}

function tagsOf(record: Buffer, namespace: number): string[] {
  const tags: string[] = []
  for (let index = 0; index < (record[RecordAt.TagCount] as number); index++) {
    tags.push(unsalted(record.readBigUInt64LE(RecordAt.Clock + 8 + index * 8), namespace))
  }
  return tags
}

/** Deadline and stale time on the clock of the segment. Undefined: they have passed. */
function lifetimeOf(record: Buffer, epoch: number, now: number): { deadline: number; stale: number } | undefined {
  const given = wordAt(record, RecordAt.Deadline)
  if (given === 0) return { deadline: 0, stale: 0 }
  const end = given + wordAt(record, RecordAt.Stale) - epoch
  if (end <= now) return undefined
  const deadline = Math.max(1, given - epoch)
  return { deadline, stale: Math.max(0, end - deadline) }
}

/** The value of an entry as bytes, in the form of the native engine. */
function bytesOfValue({ kind, value }: Entry): Uint8Array {
  if (isText(kind)) return Buffer.from(value as string)
  if (kind === Kind.Simple) return Buffer.of(value as number)
  if (kind !== Kind.Number && kind !== Kind.BigInt64) return value as Uint8Array
  const bytes = Buffer.alloc(8)
  if (kind === Kind.Number) bytes.writeDoubleLE(value as number)
  else bytes.writeBigInt64LE(value as bigint)
  return bytes
}

function valueOf(record: Buffer, epoch: number): { value: unknown; length: number; kind: number } {
  const length = record.readUInt32LE(RecordAt.ValueLength)
  const kind = record[RecordAt.Kind] as number
  const bytes = record.subarray(record.length - length)
  return { ...storedOf(isCollection(kind) ? Buffer.from(shifted(bytes, -epoch)) : bytes, kind), kind }
}
