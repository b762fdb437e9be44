/**
 * Restores a snapshot: reads the whole file once to check it, and once more to store its entries.
 *
 * Promises: nothing changes before the whole file was checked. A restore removes nothing before all entries of the
 * snapshot have been offered to the segment, also with `mode: 'replace'`; so an end in the middle loses no entry but those
 * that the snapshot overwrites. An entry that is written, cleared or invalidated after the restore began stays so.
 */
import { native } from '../engine/engine.ts'
import { CacheError } from '../errors.ts'
import type { VersionHandle } from '../segment/handle.ts'
import type { NativeRestoreCounts, NativeTarget } from '../native/addon.ts'
import { RecordAt, RecordFlag, RecordSpace, keyOffset, namespaceOf, versionOf, wordAt } from '../native/records.ts'
import type { Header, NamespaceNote, Trailer } from './documents.ts'
import { fileError, pathOf } from './files.ts'
import type { SnapshotPath } from './files.ts'
import { corrupt } from './format.ts'
import type { ResolvedRestore, RestoreInfo } from './options.ts'
import { Pace } from './pace.ts'
import { RecordCutter, SnapshotFile } from './read.ts'
import type { Batch } from './read.ts'
import { OneSegment } from './segment.ts'
import type { SnapshotCalls } from './segment.ts'

/** Bytes and records of one call: it takes less than a millisecond, unless a single value is larger. */
const SLICE_BYTES = 128 << 10
const SLICE_RECORDS = 256
/**
 * Versions above those of the snapshot that are left free. An entry that was written after the snapshot and before the
 * segment was lost has such a version, and a condition on it must not hold by chance for a restored entry.
 */
const VERSIONS_BETWEEN = 2 ** 32

/** Names of work done once that begin so are not restored: they belong to one segment. */
export const OWN_ONCE = 'cache-machine:restored:'

type Counts = { -readonly [name in keyof NativeRestoreCounts]: number }

/** Restores a snapshot into the namespace of a cache, one of the root into all namespaces. */
export async function restoreSnapshot(
  calls: SnapshotCalls,
  given: SnapshotPath,
  options: ResolvedRestore,
): Promise<RestoreInfo> {
  const path = pathOf(given)
  const segment = new OneSegment(calls, 'restore')
  const pace = new Pace(options.signal)
  const begin = performance.now()
  let file: SnapshotFile | undefined
  try {
    file = await SnapshotFile.open(path)
    const checked = await check(file, pace)
    const restore = new Restore(segment, file, checked, options, pace)
    const counts = await restore.run()
    const { createdAt, packageVersion } = checked.header
    return {
      createdAt,
      packageVersion,
      entries: checked.trailer.entries,
      ...counts,
      duration: performance.now() - begin,
    }
  } catch (error) {
    throw fileError(error, path)
  } finally {
    await file?.close()
  }
}

/** What the first reading has found. */
interface Checked {
  readonly header: Header
  readonly trailer: Trailer
  readonly namespaces: ReadonlyMap<number, NamespaceNote>
  /** Tags that were invalidated during the snapshot, as records have them. */
  readonly invalidated: ReadonlyMap<bigint, { readonly removed: number; readonly outdated: number }>
}

/** Reads the whole file. Rejects unless all of it is sound. */
async function check(file: SnapshotFile, pace: Pace): Promise<Checked> {
  const seen = new Set<number>()
  const seenVersions = new Set<number | undefined>([undefined])
  const invalidated = new Map<bigint, { removed: number; outdated: number }>()
  // Large values are passed over: their bytes have been checked by their checksums.
  const cutter = new RecordCutter(0, (bytes, at) => {
    seen.add(namespaceOf(bytes, at))
    seenVersions.add(versionOf(bytes, at))
  })
  const { header, trailer } = await file.readAll(
    async (payload) => {
      cutter.push(payload)
      await pace.next()
    },
    (payload) => {
      for (let at = 0; at < payload.length; at += 24) {
        const [removed, outdated] = [wordAt(payload, at + 8), wordAt(payload, at + 16)]
        invalidated.set(payload.readBigUInt64LE(at), { removed, outdated })
      }
    },
  )
  const { count, bytes, isWhole } = cutter
  if (!isWhole) throw corrupt('its last record is cut off')
  if (count !== trailer.entries || bytes !== trailer.bytes)
    throw corrupt(`it has ${count} records, not ${trailer.entries}`)
  const namespaces = new Map(trailer.namespaces.map((note) => [note.number, note]))
  if (namespaces.size !== trailer.namespaces.length) throw corrupt('a namespace is in it twice')
  for (const number of seen) if (!namespaces.has(number)) throw corrupt(`its namespace ${number} has no name`)
  const versions = new Set<number | undefined>([undefined, ...trailer.versions.map(({ number }) => number)])
  if (versions.size !== trailer.versions.length + 1) throw corrupt('a version is in it twice')
  for (const number of seenVersions) if (!versions.has(number)) throw corrupt(`its version ${number} has no name`)
  const isRoot = header.namespace === ''
  for (const { name, number } of trailer.namespaces) {
    const isSound = isRoot ? (name === '') === (number === 0) : name === header.namespace && number !== 0
    if (!isSound) throw corrupt(`its namespace ${number} has a wrong name`)
  }
  return { header, trailer, namespaces, invalidated }
}

/** One restore of a checked file. */
class Restore {
  readonly #segment: OneSegment
  readonly #file: SnapshotFile
  readonly #checked: Checked
  readonly #options: ResolvedRestore
  readonly #pace: Pace
  #counts: Counts = { stored: 0, existing: 0, ended: 0, expired: 0, noRoom: 0, tooLarge: 0 }

  constructor(segment: OneSegment, file: SnapshotFile, checked: Checked, options: ResolvedRestore, pace: Pace) {
    this.#segment = segment
    this.#file = file
    this.#checked = checked
    this.#options = options
    this.#pace = pace
  }

  async run(): Promise<Omit<RestoreInfo, 'createdAt' | 'packageVersion' | 'entries' | 'duration'>> {
    const segment = this.#segment
    this.#checkScope()
    const evictions = this.#evictions()
    const madeAt = segment.call((id) => native.snapshotState(id, Number.MAX_SAFE_INTEGER)).clock
    const targets = this.#targets()
    const quotasLeft = this.#setQuotas(targets)
    const least = this.#checked.trailer.version + VERSIONS_BETWEEN
    const floor = segment.call((id) => native.restoreBegin(id, least))
    // Kept in use until the end, so that no sweeper removes what was restored of a version without processes.
    const handles: VersionHandle[] = []
    let deleted = 0
    try {
      const versions = this.#checked.trailer.versions.map(({ number, name }) => {
        const handle = segment.calls.openVersion(name)
        handles.push(handle)
        return { from: number, to: handle.number }
      })
      const rules = { targets: [...targets.values()], versions, madeAt, floor, overwrite: this.#options.overwrite }
      await this.#storeAll(rules)
      if (this.#options.isReplacing) deleted = await this.#sweep(floor)
      // What was deleted may have made room.
      if (deleted > 0 && this.#counts.noRoom > 0) await this.#storeRest(rules)
    } finally {
      for (const handle of handles) handle[Symbol.dispose]()
    }
    const { stored: restored, ...others } = this.#counts
    return { restored, ...others, evicted: Math.max(0, this.#evictions() - evictions), deleted, quotasLeft }
  }

  #checkScope(): void {
    const { namespace } = this.#checked.header
    const own = this.#segment.calls.options.native.namespace ?? ''
    if ((namespace === '') === (own === '')) return
    const [is, into] = [scopeOf(namespace), scopeOf(own)]
    throw new CacheError('ERR_SNAPSHOT_SCOPE', `the snapshot is that of ${is}, and the cache is ${into}`)
  }

  #targets(): Map<number, NativeTarget> {
    const isRoot = this.#checked.header.namespace === ''
    const targets = new Map<number, NativeTarget>()
    for (const { number, name } of this.#checked.namespaces.values()) {
      const target = this.#segment.call((id) =>
        native.restoreTarget(id, isRoot && name !== '' ? name : undefined, number),
      )
      targets.set(number, target)
    }
    return targets
  }

  /** Sets the quotas of namespaces that have none. Returns the names of those for which there is no room. */
  #setQuotas(targets: ReadonlyMap<number, NativeTarget>): string[] {
    const { calls } = this.#segment
    const left: string[] = []
    for (const { number, name, quota } of this.#checked.namespaces.values()) {
      if (quota === undefined || number === 0 || targets.get(number)?.hasQuota !== false) continue
      try {
        calls.inNamespace(
          this.#checked.header.namespace === '' ? name : (calls.options.native.namespace ?? ''),
          () => undefined,
          quota,
        )
      } catch (error) {
        if (!(error instanceof CacheError) || !QUOTA_ERRORS.has(error.code)) throw error
        left.push(name)
      }
    }
    return left
  }

  async #storeAll(rules: Rules): Promise<void> {
    const { maxEntrySize } = this.#segment.calls.live().dimensions()
    const cutter = new RecordCutter(maxEntrySize)
    await this.#file.readAll(async (payload) => {
      for (const batch of cutter.push(payload)) await this.#storeBatch(batch, rules)
    })
    this.#counts.tooLarge += cutter.tooLarge
  }

  /** Stores what had no room before. All other keys have entries that are newer than the restore. */
  async #storeRest(rules: Rules): Promise<void> {
    const first = this.#counts
    this.#counts = { ...first, stored: 0, noRoom: 0 }
    await this.#storeAll(rules)
    const { stored, noRoom } = this.#counts
    const others = first.noRoom - stored - noRoom
    this.#counts = { ...first, stored: first.stored + stored, noRoom, existing: first.existing + others }
  }

  async #storeBatch({ bytes, offsets }: Batch, rules: Rules): Promise<void> {
    for (let index = 0; index + 1 < offsets.length;) {
      const from = offsets[index] as number
      if (!this.#isWanted(bytes, from)) {
        index++
        continue
      }
      let last = index + 1
      while (
        last + 1 < offsets.length &&
        last - index < SLICE_RECORDS &&
        (offsets[last + 1] as number) - from <= SLICE_BYTES &&
        this.#isKept(bytes, offsets[last] as number)
      ) {
        last++
      }
      this.#store(bytes.subarray(from, offsets[last]), rules)
      index = last
      this.#tellProgress()
      await this.#pace.next()
    }
  }

  #tellProgress(): void {
    const { onProgress } = this.#options
    const done = Object.values(this.#counts).reduce((sum, count) => sum + count, 0)
    onProgress?.(done, this.#checked.trailer.entries)
  }

  /** `#isKept`, and counts a record that is not. */
  #isWanted(bytes: Buffer, at: number): boolean {
    if (this.#isKept(bytes, at)) return true
    this.#counts[bytes[at + RecordAt.Keyspace] === RecordSpace.Once ? 'existing' : 'ended']++
    return false
  }

  /** Whether a record was still valid at the end of the snapshot. Notes it where a tag has made it stale. */
  #isKept(bytes: Buffer, at: number): boolean {
    if (bytes[at + RecordAt.Keyspace] === RecordSpace.Once) {
      const key = keyOffset(bytes, at)
      return bytes.toString('latin1', key, key + OWN_ONCE.length) !== OWN_ONCE
    }
    const { namespaces, invalidated, trailer } = this.#checked
    const life = namespaces.get(namespaceOf(bytes, at))?.life
    const isCleared =
      bytes.readUInt32LE(at + RecordAt.LifeOfRoot) !== life?.[0] ||
      bytes.readUInt32LE(at + RecordAt.LifeOfNamespace) !== life[1]
    if (isCleared) return false
    const flags = bytes[at + RecordAt.Flags] as number
    if ((flags & RecordFlag.Tagged) === 0) return true
    const clock = wordAt(bytes, at + RecordAt.Clock)
    if (clock < trailer.horizon) return false
    if (invalidated.size === 0) return true
    for (let tag = 0; tag < (bytes[at + RecordAt.TagCount] as number); tag++) {
      const found = invalidated.get(bytes.readBigUInt64LE(at + RecordAt.Clock + 8 + tag * 8))
      if (found === undefined) continue
      if (clock < found.removed) return false
      if (clock < found.outdated) bytes[at + RecordAt.Flags] = flags | RecordFlag.StaleByTag
    }
    return true
  }

  #store(records: Buffer, rules: Rules): void {
    const epoch = this.#segment.epoch()
    const counts = this.#segment.call((id) => native.restoreRecords(id, records, { ...rules, epoch }))
    for (const name of Object.keys(this.#counts) as (keyof Counts)[]) this.#counts[name] += counts[name]
  }

  /** Deletes the values that are older than the restore. */
  async #sweep(floor: number): Promise<number> {
    let deleted = 0
    let next: number | undefined = 0
    while (next !== undefined) {
      const cursor: number = next
      const step = this.#segment.call((id) => native.restoreSweep(id, cursor, floor))
      deleted += step.deleted
      next = step.next
      await this.#pace.next()
    }
    return deleted
  }

  #evictions(): number {
    return this.#segment.call((id) => native.stats(id)).total.evictions
  }
}

type Rules = Omit<Parameters<typeof native.restoreRecords>[2], 'epoch'>

/** Why a quota of the snapshot may not fit the segment. */
const QUOTA_ERRORS: ReadonlySet<string> = new Set(['ERR_NO_SPACE', 'ERR_INVALID_ARGUMENT'])

function scopeOf(namespace: string): string {
  return namespace === '' ? 'a root with all namespaces' : `the namespace '${namespace}'`
}
