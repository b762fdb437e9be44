/**
 * The raw calls of a handle; see `RawCalls`. None of them throws.
 */
import {
  ASK_ALONE,
  CollectionRequest,
  FinishResult,
  GetFlag,
  Kind,
  LimitFloat,
  LimitInt,
  MAX_KEY,
  MAX_TAGS,
  META_BYTES,
  MetaFloat,
  MetaInt,
  NearInt,
  SetFlag,
  Status,
} from '../native/layout.ts'
import { isCollection } from '../native/elements.ts'
import type { RawCalls, RawKey } from '../native/raw-calls.ts'
import { runRequest } from './collections.ts'
import { UNIT } from './geometry.ts'
import { Purpose, isExpired, isOver } from './entry.ts'
import type { Entry, Space } from './entry.ts'
import { markUsed } from './eviction.ts'
import { closed, failure, invalid, noSpace, statusFor } from './failure.ts'
import { Flights } from './flights.ts'
import type { Handle } from './handles.ts'
import { readKey } from './keys.ts'
import type { StoredKey } from './keys.ts'
import { askLimiter } from './limits.ts'
import { Metrics } from './metrics.ts'
import { pack, unpack } from './packed.ts'
import type { Segment } from './segment.ts'
import type { Write } from './store.ts'
import { tagsOf } from './tag-identity.ts'
import { copyTo, decode, encode, isByteKind, newMemory } from './values.ts'

const { meta, scratch: scratchBuffer } = newMemory(META_BYTES)
const ints = new Int32Array(meta)
const floats = new Float64Array(meta)
const scratch = new Uint8Array(scratchBuffer)

const NO_TAGS: readonly string[] = []
const CONDITIONS = SetFlag.IfAbsent | SetFlag.IfPresent | SetFlag.IfVersion
/** The identity of a limiter comes before its key. */
const IDENTITY_BYTES = 8
const ALGORITHM_BITS = 3

/** The arguments of a `set`, except for key and value. */
interface SetArguments {
  readonly kind: number
  readonly ttl: number
  readonly stale: number
  readonly flags: number
  readonly version: number
  readonly tags: readonly string[]
}

/** The raw calls of an open handle. */
export function rawCallsOf(handle: Handle): RawCalls {
  const call = <R>(run: (segment: Segment, space: Space) => R | undefined): R | undefined => {
    ints[MetaInt.Status] = 0
    try {
      const { segment, namespace, version } = handle
      if (segment === undefined) throw closed('cache')
      segment.check()
      return run(segment, segment.store.space(namespace, Purpose.Values, version))
    } catch (error) {
      ints[MetaInt.Status] = statusFor(error)
      return undefined
    }
  }

  /** Reads an entry, and removes it if its reader got the whole value. */
  function taking<T>(key: RawKey, give: (entry: Entry) => { result: T; isWhole: boolean }): T | undefined {
    return call((segment, space) => {
      const stored = readKey(key)
      const entry = segment.store.fresh(space, stored.text)
      if (entry !== undefined) checkIsValue(entry)
      countRead(space, entry)
      if (entry === undefined) {
        segment.outdateFlight(space, stored)
        return undefined
      }
      const { result, isWhole } = give(entry)
      if (isWhole) takeOut(segment, space, stored, entry)
      return result
    })
  }

  return {
    meta,
    scratch: scratchBuffer,

    get: (key, flags = 0) => call((segment, space) => get(segment, space, key, flags)),

    getInto: (key, target, flags) =>
      call((segment, space) => {
        const { text } = readKey(key)
        const entry = read(segment, space, text, flags)
        if (entry === undefined) return undefined
        if ((flags & GetFlag.Collections) === 0) checkIsValue(entry)
        return into(entry, target)
      }),

    getNear: (key) =>
      call((segment, space) => {
        const { text } = readKey(key)
        const entry = read(segment, space, text, 0)
        if (entry === undefined) return undefined
        checkIsValue(entry)
        putDependencies(segment, entry)
        return shown(entry)
      }),

    now() {
      // Each near hit of an entry with a deadline makes this call.
      ints[MetaInt.Status] = handle.segment === undefined ? Status.Closed : 0
      if (handle.segment !== undefined) floats[MetaFloat.Now] = handle.segment.store.now()
      return undefined
    },

    // An invalidation changes the words of the entries that it ends, so an unchanged word is proof.
    tagClock: (word, generation) =>
      call(({ near }) => (near.isUnchanged(word, generation) ? near.tagClock | 0 : undefined)),

    countHits(hits) {
      const { segment, namespace, version } = handle
      if (segment !== undefined) segment.store.space(namespace, Purpose.Values, version).tallies.hits += hits
      return call(() => true as const)
    },

    view: () =>
      call((segment) => {
        handle.hasView = true
        return segment.near.open()
      }),

    has: (key) => call(({ store }, space) => store.fresh(space, readKey(key).text) !== undefined),

    set: (key, value, kind, ttl = 0, flags = 0, version = 0) =>
      call((segment, space) => set(segment, space, key, value, { kind, ttl, stale: 0, flags, version, tags: NO_TAGS })),

    setWith: (key, value, kind, ttl, flags, version, stale, tags) =>
      call((segment, space) => {
        checkTags(tags)
        return set(segment, space, key, value, { kind, ttl, stale, flags, version, tags: tagsOf(tags) })
      }),

    flightFinish: (key, value, kind, ttl, stale, tags, token) =>
      call((segment, space) => {
        checkTags(tags)
        const stored = readKey(key)
        const write = writeOf(value, { kind, ttl, stale, flags: 0, version: 0, tags: tagsOf(tags) })
        const result = new Flights(segment, space.namespace, false, stored, space.version).finish(token, write)
        handle.letGo('flight', Purpose.Flights, stored.text, token)
        if (typeof result === 'string') return result === 'refused' ? FinishResult.Refused : FinishResult.Dropped
        floats[MetaFloat.Version] = result.kept
        return FinishResult.Kept
      }),

    getMany: (keys, flags) =>
      call((segment, space) =>
        keys.map((key, index) => {
          scratch[index] = ASK_ALONE
          const found = attempt(() => read(segment, space, readKey(key).text, flags), null)
          if (found === null) return undefined
          // A collection is no value: a miss, as for `MGET` of Redis.
          const entry = found !== undefined && isCollection(found.kind) ? undefined : found
          scratch[index] = entry?.kind ?? 0
          return entry === undefined ? undefined : whole(entry)
        }),
      ),

    setMany: (keys, values, kinds, ttls) =>
      call((segment, space) => {
        if (kinds.length < keys.length || ttls.length < keys.length) throw invalid('a kind and a ttl for each key')
        return keys.map((key, index) => {
          const rest = { stale: 0, flags: 0, version: 0, tags: NO_TAGS }
          const given = { kind: kinds[index] as number, ttl: ttls[index] as number, ...rest }
          return attempt(() => set(segment, space, key, values[index], given), undefined)
        })
      }),

    hasMany: (keys) =>
      call(({ store }, space) =>
        keys.map((key) => attempt(() => store.fresh(space, readKey(key).text) !== undefined, undefined)),
      ),

    deleteMany: (keys) =>
      call((segment, space) => keys.map((key) => attempt(() => remove(segment, space, key, 0), undefined))),

    delete: (key, version) => call((segment, space) => remove(segment, space, key, version)),

    take: (key) =>
      taking(key, (entry) => {
        const result = shown(entry)
        return { result, isWhole: !isByteKind(entry.kind) || ints[MetaInt.Large] === 0 }
      }),

    takeInto: (key, target) =>
      taking(key, (entry) => {
        const result = into(entry, target)
        return { result, isWhole: isByteKind(entry.kind) && result <= target.length }
      }),

    incr: (key, by, init, ttl, min, max) =>
      call((segment, space) => {
        const stored = readKey(key)
        const sum = sumOf(segment.store.fresh(space, stored.text), by, init, min, max)
        segment.outdateFlight(space, stored)
        const kept = SetFlag.KeepTtl | SetFlag.KeepTags
        const given = { kind: Kind.Number, ttl, stale: 0, flags: kept, version: 0, tags: NO_TAGS }
        const version = segment.store.write(space, stored, writeOf(sum, given))
        if (version === undefined) throw noSpace("the shard is full and eviction is 'none'")
        return sum
      }),

    touch: (key, ttl) =>
      call(({ store }, space) => {
        const entry = store.fresh(space, readKey(key).text)
        if (entry !== undefined) store.touch(entry, lifetime(ttl))
        return entry !== undefined
      }),

    ttl: (key) =>
      call(({ store }, space) => {
        const entry = store.fresh(space, readKey(key).text)
        return entry === undefined ? undefined : remaining(entry, store.now())
      }),

    collect: (key, kind, request, length, ttl = 0, tags = NO_TAGS) =>
      call((segment, space) => {
        checkTags(tags)
        const asked = { kind, request: request.subarray(0, length), ttl, tags: tagsOf(tags) }
        const answer = collect(segment, space, readKey(key), asked)
        return copyTo(scratch, answer) ? answer.length : answer
      }),

    limit: (key) => call((segment) => limit(segment, handle.namespace, key)),

    measure: (key, how, value) =>
      call(({ store }) => {
        return new Metrics(store, store.space(handle.namespace, Purpose.Metrics)).measure(readKey(key), how, value)
      }),
  }
}

/** A request to a collection, and the collection that it makes where there is none. */
interface CollectionCall {
  readonly kind: number
  readonly request: Uint8Array
  readonly ttl: number
  readonly tags: readonly string[]
}

function collect(segment: Segment, space: Space, stored: StoredKey, asked: CollectionCall): Uint8Array {
  const { store } = segment
  const { kind, request, ttl, tags } = asked
  const entry = store.fresh(space, stored.text)
  const isChange = (request[0] ?? 0) >= CollectionRequest.Put
  if (!isChange) {
    countRead(space, entry)
    if (entry !== undefined) markUsed(entry)
  }
  if (entry !== undefined && entry.kind !== kind) throw failure('ERR_WRONG_TYPE', 'the entry is of another kind')
  const { answer, elements } = runRequest(
    kind,
    entry === undefined ? [] : unpack(entry.value as Uint8Array),
    request,
    store.now(),
  )
  if (elements === undefined) return answer
  segment.outdateFlight(space, stored)
  if (elements.length === 0) {
    if (entry !== undefined) store.remove(entry, 'deleted')
    return answer
  }
  const value = pack(elements)
  const given = { ttl: lifetime(ttl), stale: 0, tags, keepTtl: true, keepTags: true }
  const write = { value, length: value.length, kind, ...given }
  const kept = entry?.tags ?? tags
  const extras = (entry?.stale ?? 0) === 0 ? 0 : 1
  const words = entry === undefined ? tags.length : extras + (kept.length === 0 ? 0 : 1 + kept.length)
  if (stored.length + value.length + words * 8 > store.geometry.maxEntry) {
    throw failure('ERR_VALUE_TOO_LARGE', `the collection needs more than ${store.geometry.maxEntry} bytes`)
  }
  if (store.write(space, stored, write) === undefined) throw noSpace("the shard is full and eviction is 'none'")
  return answer
}

/** Throws for a collection, which is read by its elements. */
function checkIsValue({ kind }: Entry): void {
  if (isCollection(kind)) throw failure('ERR_WRONG_TYPE', 'the entry is of another kind')
}

function get(segment: Segment, space: Space, key: RawKey, flags: number): unknown {
  const { text } = readKey(key)
  const entry = read(segment, space, text, flags)
  if (entry !== undefined && (flags & GetFlag.Collections) === 0) checkIsValue(entry)
  return entry === undefined ? undefined : shown(entry)
}

/** Finds an entry for a read, counts the read, and notes what `GetFlag.Meta` asks for. */
function read({ store }: Segment, space: Space, text: string, flags: number): Entry | undefined {
  const found = space.entries.get(text)
  const takesStale = (flags & GetFlag.Stale) !== 0
  const entry = found !== undefined && isServed(found, store.now(), takesStale) ? found : undefined
  if ((flags & GetFlag.Peek) === 0) {
    countRead(space, entry)
    if (entry !== undefined) markUsed(entry)
  }
  if (entry !== undefined && (flags & GetFlag.Meta) !== 0) putMeta(entry, store.now())
  return entry
}

function isServed(entry: Entry, now: number, takesStale: boolean): boolean {
  if (entry.kind === Kind.Absent) return false
  if (entry.deadline === 0 && !entry.outdated) return true
  // mutant: portable-serves-stale
  if (isExpired(entry, now) || entry.outdated) return takesStale && !isOver(entry, now)
  return true
}

function countRead({ tallies }: Space, entry: Entry | undefined): void {
  if (entry === undefined) tallies.misses++
  else tallies.hits++
}

function putMeta(entry: Entry, now: number): void {
  const { version, written, deadline, units, outdated } = entry
  floats[MetaFloat.Version] = version
  floats[MetaFloat.Age] = Math.max(0, now - written)
  floats[MetaFloat.Remaining] = remaining(entry, now)
  floats[MetaFloat.Size] = units * UNIT
  floats[MetaFloat.Stale] = outdated || isExpired(entry, now) ? 1 : 0
  floats[MetaFloat.Late] = deadline === 0 ? 0 : Math.max(0, now - deadline)
}

function putDependencies({ near }: Segment, entry: Entry): void {
  const { namespace } = entry.space
  const place = near.place(entry)
  floats[MetaFloat.Deadline] = entry.deadline
  floats[MetaFloat.Word] = place
  ints[NearInt.Generation] = near.generation(place)
  ints[NearInt.Root] = near.epoch(0)
  ints[NearInt.Own] = namespace === 0 ? 0 : near.epoch(namespace)
  ints[NearInt.Tagged] = entry.tags.length > 0 ? 1 : 0
  ints[NearInt.TagClock] = near.tagClock
  ints[MetaInt.Length] = entry.length
}

function remaining({ deadline }: Entry, now: number): number {
  return deadline === 0 ? Number.POSITIVE_INFINITY : Math.max(0, deadline - now)
}

/** The result of `get`. Bytes go into `scratch` if they fit. */
function shown({ kind, value, length }: Entry): unknown {
  ints[MetaInt.Kind] = kind
  if (!isByteKind(kind)) return decode(value, kind)
  ints[MetaInt.Length] = length
  ints[MetaInt.Large] = copyTo(scratch, value) ? 0 : 1
  return length
}

function into({ kind, value, length }: Entry, target: Uint8Array): number {
  ints[MetaInt.Kind] = kind
  if (isByteKind(kind)) copyTo(target, value)
  return length
}

/** The value of `getMany`: bytes as a Buffer of their own. */
function whole({ kind, value }: Entry): unknown {
  return isByteKind(kind) ? Buffer.from(value as Uint8Array) : decode(value, kind)
}

function set(segment: Segment, space: Space, key: RawKey, value: unknown, given: SetArguments): boolean {
  const condition = given.flags & CONDITIONS
  if ((condition & (condition - 1)) !== 0) throw invalid('the conditions exclude each other')
  const stored = readKey(key)
  const write = writeOf(value, given)
  segment.store.checkSize(stored, write)
  const { store } = segment
  const entry = store.fresh(space, stored.text)
  const holds =
    condition === 0 ||
    (condition === SetFlag.IfAbsent && entry === undefined) ||
    (condition === SetFlag.IfPresent && entry !== undefined) ||
    (condition === SetFlag.IfVersion && entry?.version === given.version)
  if (!holds) return false
  segment.outdateFlight(space, stored)
  const version = store.write(space, stored, write)
  if (version === undefined) return false
  floats[MetaFloat.Version] = version
  return true
}

function writeOf(value: unknown, { kind, ttl, stale, flags, tags }: SetArguments): Write {
  return {
    ...encode(value, kind),
    kind,
    ttl: lifetime(ttl),
    stale: lifetime(stale),
    tags,
    keepTtl: (flags & SetFlag.KeepTtl) !== 0,
    keepTags: (flags & SetFlag.KeepTags) !== 0,
  }
}

function checkTags(tags: readonly string[]): void {
  if (tags.length > MAX_TAGS) throw invalid(`an entry has at most ${MAX_TAGS} tags`)
}

/** Whole milliseconds; what is no lifetime means for ever. */
function lifetime(ttl: number): number {
  return ttl > 0 ? Math.ceil(ttl) : 0
}

function remove(segment: Segment, space: Space, key: RawKey, version: number): boolean {
  const stored = readKey(key)
  const { store } = segment
  const entry = space.entries.get(stored.text)
  if (version !== 0 && entry !== undefined && store.isFresh(entry) && entry.version !== version) return false
  segment.outdateFlight(space, stored)
  return entry !== undefined && store.delete(entry)
}

function takeOut(segment: Segment, space: Space, key: StoredKey, entry: Entry): void {
  segment.outdateFlight(space, key)
  segment.store.remove(entry, 'deleted')
}

function sumOf(entry: Entry | undefined, by: number, init: number, min: number, max: number): number {
  if (entry !== undefined && entry.kind !== Kind.Number) throw failure('ERR_NOT_A_NUMBER', 'the value is not a number')
  let sum = (entry === undefined ? init : (entry.value as number)) + by
  // NaN: no bound.
  if (sum < min) sum = min
  if (sum > max) sum = max
  if (!Number.isFinite(sum) || Math.abs(sum) > Number.MAX_SAFE_INTEGER) {
    throw failure('ERR_OVERFLOW', 'the result is not a finite number of at most 2^53 - 1')
  }
  return sum
}

function limit({ store }: Segment, namespace: number, key: RawKey): boolean {
  const how = ints[LimitInt.How] as number
  const { text, length, binary } = readKey(key, MAX_KEY - IDENTITY_BYTES)
  const identity = `${ints[LimitInt.Low]}.${ints[LimitInt.High]}.`
  const verdict = askLimiter(
    store,
    store.space(namespace, Purpose.Limits),
    { text: identity + text, length: IDENTITY_BYTES + length, binary },
    {
      algorithm: how & ALGORITHM_BITS,
      demand: how & ~ALGORITHM_BITS,
      tokens: floats[LimitFloat.Tokens] as number,
      limit: floats[LimitFloat.Limit] as number,
      window: floats[LimitFloat.Window] as number,
    },
  )
  floats[LimitFloat.Remaining] = verdict.remaining
  floats[LimitFloat.RetryAfter] = verdict.retryAfter
  floats[LimitFloat.ResetAfter] = verdict.resetAfter
  return verdict.allowed
}

function attempt<R, D>(run: () => R, otherwise: D): R | D {
  try {
    return run()
  } catch {
    return otherwise
  }
}
