/**
 * The portable engine: the interface of the native addon in plain TypeScript, for one thread and without native code.
 *
 * Its segments are maps of this thread. Neither other processes nor other threads see them, and they end with the
 * thread. Everything else is as in the native engine: the same answers, error codes and counts. Under memory pressure
 * the two may evict different entries.
 *
 * ```text
 * failure, keys, values, geometry, clock       what calls pass, sizes, time
 * entry, eviction, endings                     entries, their order, their ends
 * quotas, room, store                          what may take how much, and every change of an entry
 * tags, near, streams, waits, notices          what follows a change
 * records, permits, flights, limits, metrics   what coordination keeps
 * segment, segments, handles, regions          what is open
 * raw, walk, snapshots, stats, engine          the calls
 * ```
 */
import { Keyspace, MetricKind, PermitState, FlightState, FinishResult, Kind } from '../native/layout.ts'
import type { Native, NativeFlight, NativeOpened, NativeOpenOptions, NativePermit } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { ManualClock, realClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { Purpose } from './entry.ts'
import { closed, invalid } from './failure.ts'
import { Flights } from './flights.ts'
import type { FlightStart } from './flights.ts'
import {
  Handle,
  addHandle,
  findHandle,
  isViewed,
  removeHandle,
  remaining,
  withHandle,
  withListener,
} from './handles.ts'
import { givenForm, prefixTest, readKey, readName } from './keys.ts'
import { Metrics } from './metrics.ts'
import { ROOT_EPOCH_OFFSET, TAG_CLOCK_OFFSET, epochOffset } from './near.ts'
import { PermitRecord } from './permits.ts'
import { queueCalls } from './queue-calls.ts'
import type { Gate, Grant } from './permits.ts'
import { rawCallsOf } from './raw.ts'
import {
  bufferOf,
  closeRegion,
  destroyRegion,
  inspectRegion,
  isAttached,
  listRegions,
  openRegion,
  regionCallsOf,
} from './regions.ts'
import type { Segment } from './segment.ts'
import { destroySegment, inspectSegment, listSegments, openSegment } from './segments.ts'
import { importRecords, pageOfRecords, stateOf, sweepOlder, targetOf } from './snapshots.ts'
import { shardsOf, statsOf } from './stats.ts'
import { tagsOf } from './tag-identity.ts'
import { transactionCalls } from './transactions.ts'
import { deletionOf, pageOf } from './walk.ts'

/** Options of `open` that only this engine has. */
export interface PortableOpenOptions extends NativeOpenOptions {
  /** The clock of a new segment. Default: that of this process, or with `manualClock` one that stands still. */
  readonly clock?: Clock | undefined
}

/** The calls of `Native`. */
export const portable: Native = {
  ...queueCalls,
  ...transactionCalls,

  open(options) {
    const { segment, created } = openSegment(options, () => clockFor(options))
    const namespace = options.namespace === undefined ? 0 : segment.namespaceNumber(options.namespace, options.create)
    if (options.quota !== undefined) segment.store.setQuota(namespace, options.quota)
    const versionNumber =
      options.version === undefined ? undefined : segment.beginVersion(options.version, options.create)
    segment.removeUnusedVersions()
    if (segment.handles++ === 0) segment.attachedAt = segment.clock.now()
    const id = addHandle(new Handle(segment, namespace, versionNumber === undefined ? 0 : versionNumber + 1))
    const opened = openedAs(segment, id, namespace, created)
    return versionNumber === undefined ? opened : { ...opened, versionNumber }
  },

  close(id) {
    const handle = removeHandle(id)
    const segment = handle?.segment
    if (handle === undefined || segment === undefined) return
    if (handle.hasView && !isViewed(segment)) segment.near.close()
    handle.release()
    if (handle.version > 0) segment.versions.end(handle.version - 1)
    segment.handles--
  },

  rawCalls(id) {
    const handle = findHandle(id)
    if (handle === undefined) throw closed('cache')
    return rawCallsOf(handle)
  },

  setNotifier(id, notify) {
    const handle = findHandle(id)
    if (handle?.segment === undefined) throw closed('cache')
    // A destroyed segment takes it as well: the next call opens the one that has its name now.
    const { namespace, version } = handle
    handle.listener = { namespace, version, notify, wantsRemovals: false, isOpen: true }
    handle.segment.listeners.add(handle.listener)
  },

  wantRemovals(id, wanted) {
    const handle = findHandle(id)
    if (handle === undefined) throw closed('cache')
    if (handle.listener === undefined) return
    handle.listener.wantsRemovals = wanted
    handle.segment?.watchEnds()
  },

  // ---- waits, watches, subscriptions

  waitStart(id, key, after) {
    return withListener(id, (segment, listener, { namespace, version }) =>
      segment.waits.start(listener, segment.store.space(namespace, Purpose.Values, version), readKey(key), after),
    )
  },

  waitCancel(id, wait) {
    findHandle(id)?.segment?.waits.cancel(wait)
  },

  watchStart(id, key, prefix, tags, buffer) {
    return withListener(id, (segment, listener, { namespace }) => {
      const text = key === undefined ? undefined : readKey(key).text
      const filter = { key: text, startsWith: prefixTest(prefix), tags: tagsOf(tags) }
      const stream = segment.streams.watch(listener, namespace, filter, buffer)
      segment.watchEnds()
      return stream
    })
  },

  subscribeStart(id, channel, isPrefix, buffer) {
    return withListener(id, (segment, listener, { namespace }) =>
      segment.streams.subscribe(listener, namespace, { name: readName(channel).text, isPrefix }, buffer),
    )
  },

  streamTake(id, stream, max) {
    // The loss of the segment is reported elsewhere.
    const handle = findHandle(id)
    if (handle?.segment === undefined) throw closed('cache')
    return handle.segment.streams.take(stream, max)
  },

  streamEnd(id, stream) {
    findHandle(id)?.segment?.streams.end(stream)
  },

  publish(id, channel, kind, value) {
    return withHandle(id, (segment, { namespace }) => {
      const bytes = typeof value === 'string' ? Buffer.from(value) : value
      return segment.streams.publish(namespace, readName(channel), kind, bytes)
    })
  },

  // ---- the namespace as a whole

  keys(id, cursor, prefix, tags, max) {
    return withHandle(id, ({ store }, { namespace, version }) =>
      pageOf(store, store.space(namespace, Purpose.Values, version), cursor, prefix, tagsOf(tags), max),
    )
  },

  deletePrefix(id, cursor, prefix) {
    return withHandle(id, ({ store }, handle) => deletionOf(store, handle, cursor, prefix))
  },

  invalidateTags(id, tags, outdate) {
    withHandle(id, (segment, { namespace }) => segment.invalidateTags(namespace, tagsOf(tags), outdate))
  },

  clear(id) {
    withHandle(id, (segment, { namespace }) => segment.clear(namespace))
  },

  size(id) {
    return withHandle(id, ({ store }, { namespace }) => {
      store.sweep()
      return store.valuesOf(namespace).reduce((sum, { entries }) => sum + entries.size, 0)
    })
  },

  shards(id) {
    return withHandle(id, shardsOf)
  },

  stats(id) {
    return withHandle(id, (segment, { namespace }) => statsOf(segment, namespace))
  },

  validate(id) {
    return withHandle(id, ({ store }) => store.problems())
  },

  advanceClock(id, milliseconds) {
    withHandle(id, (segment) => {
      const { clock } = segment
      // 0: the clock was moved already, by its owner.
      if (milliseconds > 0) {
        if (!(clock instanceof ManualClock)) throw invalid('the segment was not made with a manual clock')
        clock.advance(milliseconds)
      }
      segment.passTime()
    })
  },

  // ---- snapshots

  snapshotPage: (id, cursor, epoch, bytes) =>
    withHandle(id, (segment, { namespace }) => pageOfRecords(segment, namespace, cursor, epoch, bytes)),
  snapshotState: (id, since) => withHandle(id, (segment, { namespace }) => stateOf(segment, namespace, since)),
  restoreBegin: (id, least) => withHandle(id, ({ store }) => store.raiseVersion(least)),
  restoreTarget: (id, name, from) =>
    withHandle(id, (segment, { namespace }) => targetOf(segment, name ?? undefined, namespace, from)),
  restoreRecords: (id, records, rules) => withHandle(id, (segment) => importRecords(segment, records, rules)),
  restoreSweep: (id, cursor, floor) =>
    withHandle(id, (segment, { namespace }) => sweepOlder(segment, namespace, cursor, floor)),

  // ---- permits

  permitAcquire(id, keyspace, key, permits, ttl, wait) {
    return onPermits(id, keyspace, key, (subject) => {
      const result = subject.record.acquire(permits, Math.floor(ttl), wait)
      if (result === undefined) return NO_PERMIT
      if (typeof result === 'object') return granted(subject, result, permits)
      return queued(subject, result, permits)
    })
  },

  ticketState(id, keyspace, key, permits, ticket) {
    return onPermits(id, keyspace, key, (subject) => {
      const state = subject.record.ticketState(ticket)
      if (state === 'waiting') return waiting(ticket)
      subject.handle.letGo('ticket', subject.purpose, subject.text, ticket)
      return state === 'lost' ? NO_PERMIT : granted(subject, state.grant, permits)
    })
  },

  ticketCancel(id, keyspace, key, permits, ticket) {
    onPermits(id, keyspace, key, ({ record, handle, purpose, text }) => {
      record.cancel(ticket, permits)
      handle.letGo('ticket', purpose, text, ticket)
    })
  },

  permitRelease(id, keyspace, key, permits, token) {
    return onPermits(id, keyspace, key, ({ record, handle, purpose, text }) => {
      const held = record.release(token, permits)
      handle.letGo('permit', purpose, text, token)
      return held
    })
  },

  permitExtend(id, keyspace, key, token, ttl) {
    return onPermits(id, keyspace, key, ({ record, segment }) => {
      const deadline = record.extend(token, Math.floor(ttl))
      return deadline === undefined ? null : remaining(segment, deadline)
    })
  },

  permitIsHeld(id, keyspace, key, token) {
    return onPermits(id, keyspace, key, ({ record }) => record.holds(token))
  },

  permitCounts(id, keyspace, key) {
    return onPermits(id, keyspace, key, ({ record }) => record.counts())
  },

  gateEnter(id, keyspace, key, parties) {
    const gate = gateOf(keyspace, parties)
    return onPermits(id, keyspace, key, (subject) => {
      const result = subject.record.enter(gate)
      if (typeof result === 'object') return grantedAt(subject, result)
      return queued(subject, result, 0)
    })
  },

  conditionNotify: (id, key, count) => onPermits(id, Keyspace.Conditions, key, ({ record }) => record.notify(count)),
  eventSet: (id, key, isSet) => onPermits(id, Keyspace.Events, key, ({ record }) => record.setEvent(isSet)),

  gateState(id, keyspace, key) {
    const [isSet, waiters] = onPermits(id, keyspace, key, ({ record }) => record.gateState())
    return [Number(isSet), waiters]
  },

  permitsHeld(id, keyspace) {
    checkKeyspace(keyspace)
    return withHandle(id, (segment, { namespace }) => {
      const { store } = segment
      const space = store.space(namespace, keyspace)
      return [...space.entries.values()].flatMap((entry) => {
        const key = givenForm(entry)
        const { deadlines, waiters } = new PermitRecord(store, space, readKey(key)).parties()
        if (deadlines.length + waiters === 0) return []
        const holders = deadlines.map((deadline) => ({ pid: process.pid, remaining: remaining(segment, deadline) }))
        return [{ key, holders, waiters: Array.from({ length: waiters }, () => process.pid) }]
      })
    })
  },

  ticketWatch(id, keyspace, key, permits, ticket) {
    checkKeyspace(keyspace)
    return withListener(id, (segment, listener, { namespace }) =>
      segment.recordWatches.start(listener, segment.store.space(namespace, keyspace), readKey(key), {
        ticket,
        permits,
      }),
    )
  },

  recordWatchCancel(id, recordWatch) {
    findHandle(id)?.segment?.recordWatches.cancel(recordWatch)
  },

  // ---- flights

  flightBegin(id, once, key, lease, newerThan, background) {
    return onFlights(id, once, key, (flights, handle, text) => {
      const start = flights.begin(Math.floor(lease), newerThan, background)
      if (start.state === 'begun') {
        const { number } = start
        handle.hold('flight', flightPurpose(once), text, number, () => void flights.end(number))
      }
      return flightOf(start)
    })
  },

  flightFail(id, once, key, token, outcome, failed) {
    return onFlights(id, once, key, (flights, handle, text) => {
      handle.letGo('flight', flightPurpose(once), text, token)
      return flights.end(token, outcome, failed)
    })
  },

  flightAbandon(id, once, key, token) {
    return onFlights(id, once, key, (flights, handle, text) => {
      handle.letGo('flight', flightPurpose(once), text, token)
      return flights.end(token)
    })
  },

  flightOutcome(id, once, key, token) {
    return onFlights(id, once, key, (flights) => {
      const bytes = flights.outcome(token)
      return bytes === undefined ? null : new Uint8Array(bytes)
    })
  },

  flightIsOn(id, once, key, token) {
    return onFlights(id, once, key, (flights) => flights.isOn(token))
  },

  flightWatch(id, once, key, token) {
    return withListener(id, (segment, listener, { namespace, version }) => {
      const space = segment.store.space(namespace, flightPurpose(once), once ? 0 : version)
      return segment.recordWatches.start(listener, space, readKey(key), { token, once })
    })
  },

  onceFinish(id, name, token, value, ttl) {
    return onFlights(id, true, name, (flights, handle, text) => {
      const bytes = new Uint8Array(value)
      const write = { value: bytes, length: bytes.length, kind: Kind.Uint8Array, ttl: Math.floor(ttl), stale: 0 }
      const result = flights.finish(token, { ...write, tags: [], keepTtl: false, keepTags: false })
      handle.letGo('flight', Purpose.OnceFlights, text, token)
      if (typeof result === 'object') return FinishResult.Kept
      return result === 'refused' ? FinishResult.Refused : FinishResult.Dropped
    })
  },

  onceResult(id, name) {
    return onFlights(id, true, name, (flights) => {
      const bytes = flights.result()
      return bytes === undefined ? null : new Uint8Array(bytes)
    })
  },

  // ---- metrics

  metricDeclare(id, name, kind, bounds, help, key) {
    if (!KINDS.has(kind)) throw invalid(`there is no kind ${kind} of metrics`)
    onMetrics(id, (metrics) => metrics.declare(name, kind, [...bounds], help, key))
  },

  metricGet: (id, key) => onMetrics(id, (metrics) => metrics.get(key) ?? null),
  metricsAll: (id) => onMetrics(id, (metrics) => metrics.all()),
  metricDelete: (id, key) => onMetrics(id, (metrics) => metrics.delete(key)),

  // ---- the size

  dimensions(id) {
    return withHandle(id, ({ geometry }) => ({ size: geometry.size, maxEntrySize: geometry.maxEntry }))
  },

  resize(id, size) {
    return withHandle(id, (segment) => {
      const began = performance.now()
      const resized = segment.resize(Math.floor(size))
      if (resized === undefined) return null
      let entries = 0
      for (const space of segment.store.spaces()) entries += space.entries.size
      return { ...resized, entries, pausedMs: performance.now() - began }
    })
  },

  // ---- segments and regions

  segmentsList: listSegments,
  segmentsInspect: inspectSegment,
  segmentsDestroy: destroySegment,

  regionOpen: openRegion,
  regionBuffer: bufferOf,
  regionAttached: isAttached,
  regionCalls: regionCallsOf,
  regionClose: closeRegion,
  regionsList: listRegions,
  regionsInspect: inspectRegion,
  regionsDestroy: destroyRegion,
}

const NO_PERMIT: NativePermit = { state: PermitState.None, number: 0, remaining: 0 }
const KINDS: ReadonlySet<number> = new Set(Object.values(MetricKind))
const KEYSPACES: ReadonlySet<number> = new Set(Object.values(Keyspace))

/** What a call on permits is about. */
interface Subject {
  readonly segment: Segment
  readonly handle: Handle
  readonly purpose: number
  readonly text: string
  readonly record: PermitRecord
}

function clockFor({ clock, manualClock }: PortableOpenOptions): Clock {
  return clock ?? (manualClock ? new ManualClock() : realClock)
}

function openedAs({ path, geometry }: Segment, id: number, namespace: number, created: boolean): NativeOpened {
  return {
    id,
    created,
    path,
    size: geometry.size,
    maxEntrySize: geometry.maxEntry,
    eviction: geometry.eviction,
    shards: geometry.shards,
    rootEpochOffset: ROOT_EPOCH_OFFSET,
    epochOffset: epochOffset(namespace),
    tagClockOffset: TAG_CLOCK_OFFSET,
  }
}

function onPermits<T>(id: number, keyspace: number, key: RawKey, run: (subject: Subject) => T): T {
  checkKeyspace(keyspace)
  return withHandle(id, (segment, handle) => {
    const stored = readKey(key)
    const record = new PermitRecord(segment.store, segment.store.space(handle.namespace, keyspace), stored)
    return run({ segment, handle, purpose: keyspace, text: stored.text, record })
  })
}

function checkKeyspace(keyspace: number): void {
  if (!KEYSPACES.has(keyspace)) throw invalid(`there is no keyspace ${keyspace} of permits`)
}

function gateOf(keyspace: number, parties: number): Gate {
  if (keyspace === Keyspace.Events) return { kind: 'event' }
  if (keyspace === Keyspace.Barriers) return { kind: 'barrier', parties }
  if (keyspace === Keyspace.Conditions) return { kind: 'condition' }
  throw invalid(`there is no keyspace ${keyspace} of gates`)
}

/** Notes a permit, and makes the answer. */
function granted(subject: Subject, grant: Grant, permits: number): NativePermit {
  const { handle, purpose, text, record } = subject
  const { token } = grant
  handle.hold('permit', purpose, text, token, () => void record.release(token, permits))
  return grantedAt(subject, grant)
}

function grantedAt({ segment }: Subject, { token, deadline }: Grant): NativePermit {
  return { state: PermitState.Granted, number: token, remaining: remaining(segment, deadline) }
}

/** Notes a ticket, and makes the answer. */
function queued({ handle, purpose, text, record }: Subject, ticket: number, permits: number): NativePermit {
  handle.hold('ticket', purpose, text, ticket, () => record.cancel(ticket, permits))
  return waiting(ticket)
}

function waiting(ticket: number): NativePermit {
  return { state: PermitState.Waiting, number: ticket, remaining: Number.POSITIVE_INFINITY }
}

function flightPurpose(once: boolean): number {
  return once ? Purpose.OnceFlights : Purpose.Flights
}

function onFlights<T>(
  id: number,
  once: boolean,
  key: RawKey,
  run: (flights: Flights, handle: Handle, text: string) => T,
): T {
  return withHandle(id, (segment, handle) => {
    const stored = readKey(key)
    return run(new Flights(segment, handle.namespace, once, stored, handle.version), handle, stored.text)
  })
}

function flightOf(start: FlightStart): NativeFlight {
  const number = 'number' in start ? start.number : 0
  return { state: STATES[start.state], number }
}

const STATES: Readonly<Record<FlightStart['state'], number>> = {
  fresh: FlightState.Fresh,
  absent: FlightState.Absent,
  joined: FlightState.Joined,
  begun: FlightState.Begun,
  resting: FlightState.Resting,
}

function onMetrics<T>(id: number, run: (metrics: Metrics) => T): T {
  return withHandle(id, ({ store }, { namespace }) => run(new Metrics(store, store.space(namespace, Purpose.Metrics))))
}
