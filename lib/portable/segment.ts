/**
 * A segment of the portable engine: the store, and what follows its changes. It stays when its last handle is closed,
 * until it is destroyed or its thread ends.
 */
import { Notice } from '../native/layout.ts'
import { Alarm } from './clock.ts'
import type { Clock } from './clock.ts'
import { Purpose, isRecord } from './entry.ts'
import type { Cause, Entry, Observer, Space } from './entry.ts'
import { detached, failure, invalid, noSpace } from './failure.ts'
import { Flights, tokenOf } from './flights.ts'
import type { FlightSource } from './flights.ts'
import { planAgain } from './geometry.ts'
import type { Geometry } from './geometry.ts'
import { givenForm } from './keys.ts'
import type { StoredKey } from './keys.ts'
import { NearWords } from './near.ts'
import { post } from './notices.ts'
import type { Listener } from './notices.ts'
import { Store } from './store.ts'
import { Streams } from './streams.ts'
import { InvalidationLog, Tags } from './tags.ts'
import { Versions } from './versions.ts'
import { RecordWatches, Waits } from './waits.ts'
import type { RawKey } from '../native/raw-calls.ts'

const MAX_NAMESPACES = 1024
const MAX_NAME = 63

export class Segment implements Observer, FlightSource {
  readonly name: string
  readonly path: string
  readonly geometry: Geometry
  readonly clock: Clock
  readonly createdAt: number
  readonly store: Store
  readonly near: NearWords
  readonly streams: Streams
  readonly waits: Waits
  readonly recordWatches: RecordWatches
  /** The names of the namespaces from number 1 on. */
  readonly namespaces: string[] = []
  readonly invalidations = new InvalidationLog()
  readonly versions: Versions
  readonly listeners = new Set<Listener>()
  /** The moment from which this thread has handles. */
  attachedAt = 0
  handles = 0
  busy = 0
  isDestroyed = false
  readonly #tags: Tags[] = []
  readonly #alarm: Alarm
  #removed: { readonly namespace: number; readonly version: number; readonly key: RawKey; readonly reason: number }[] =
    []

  constructor(name: string, path: string, geometry: Geometry, clock: Clock) {
    this.name = name
    this.path = path
    this.geometry = geometry
    this.clock = clock
    this.versions = new Versions(clock)
    this.createdAt = clock.now()
    this.#alarm = new Alarm(clock, () => this.passTime())
    this.near = new NearWords(geometry)
    this.store = new Store(geometry, clock, this)
    this.streams = new Streams(geometry)
    this.waits = new Waits(this.store)
    this.recordWatches = new RecordWatches(this, (at) => this.#alarm.set(at))
  }

  /** The number of a namespace; a new name gets the next one. */
  /** The number of a namespace; `create`: a new one gets the next number. */
  namespaceNumber(name: string, create = true): number {
    const length = Buffer.byteLength(name)
    if (length === 0 || length > MAX_NAME) {
      throw invalid(`a namespace's name has 1 to ${MAX_NAME} bytes, not ${length}`)
    }
    const known = this.namespaces.indexOf(name)
    if (known !== -1) return known + 1
    if (!create) throw failure('ERR_NO_SEGMENT', `the segment has no namespace ${JSON.stringify(name)}`)
    if (this.namespaces.length + 1 >= MAX_NAMESPACES) {
      throw noSpace(`the segment has ${MAX_NAMESPACES} namespaces, which is the most`)
    }
    return this.namespaces.push(name)
  }

  tags(namespace: number): Tags {
    return (this.#tags[namespace] ??= new Tags())
  }

  get tagClock(): number {
    return this.near.tagClock
  }

  /** Ends what the flight of a key would store. */
  outdateFlight({ namespace, version }: Space, key: StoredKey): void {
    new Flights(this, namespace, false, key, version).outdate()
  }

  clear(namespace: number): void {
    for (let number = 0; number <= this.namespaces.length; number++) {
      if (namespace === 0 || number === namespace) this.near.cleared(number)
    }
    this.store.clear(namespace)
    this.streams.cleared(namespace)
  }

  invalidateTags(namespace: number, tags: readonly string[], outdate: boolean): void {
    this.near.invalidated()
    const known = this.tags(namespace)
    known.note(tags, this.tagClock, outdate)
    this.invalidations.note(namespace, tags, this.tagClock, outdate)
    for (const entry of known.entriesOf(tags)) {
      if (outdate) this.store.outdate(entry)
      else this.store.remove(entry, 'cleared')
    }
    if (tags.length > 0) this.streams.invalidated(namespace, tags)
  }

  /** Ends what has ended by now, and notifies of it. */
  passTime(): void {
    this.removeUnusedVersions()
    this.store.sweep()
    this.recordWatches.check()
    this.watchEnds()
  }

  /** Begins to use a version, and returns its number. The first use takes a version of entries, as in the native engine. */
  beginVersion(name: string, create?: boolean): number {
    const isFirst = !this.versions.all().some((version) => version.name === name && version.processes > 0)
    const number = this.versions.begin(name, create)
    if (isFirst) this.store.raiseVersion(this.store.nextVersion)
    return number
  }

  /** Removes the entries of versions that no handle has used for long. */
  removeUnusedVersions(): void {
    for (const number of this.versions.takeUnused()) this.store.removeVersion(number + 1)
  }

  /** Sets the alarm for the next end of an entry, if a listener waits for it. */
  watchEnds(): void {
    if (this.streams.isWatched || this.#wantsRemovals()) this.#alarm.set(this.store.nextEnd)
  }

  /** Gives the segment another size. Undefined: it has that size. Throws `ERR_NO_SPACE`, and changes nothing then. */
  resize(size: number): { from: number; to: number; evicted: number } | undefined {
    this.check()
    const next = planAgain(this.geometry, size)
    const from = this.geometry.size
    if (next.size === from) return undefined
    const evicted = this.store.resize(next, () => Object.assign(this.geometry, next))
    for (const listener of this.listeners) post(listener, Notice.Resized, [from, next.size])
    return { from, to: next.size, evicted }
  }

  destroy(): void {
    this.isDestroyed = true
    this.#alarm.stop()
    for (const listener of this.listeners) post(listener, Notice.Detached, [])
  }

  /** Throws if the segment was destroyed. */
  check(): void {
    if (this.isDestroyed) throw detached()
  }

  forget(listener: Listener): void {
    listener.isOpen = false
    this.listeners.delete(listener)
    this.waits.endOf(listener)
    this.recordWatches.endOf(listener)
    this.streams.endOf(listener)
    if (this.listeners.size === 0) this.#alarm.stop()
  }

  // ---- what follows a change

  changed(entry: Entry): void {
    this.near.changed(entry)
  }

  adoptUses(entry: Entry): void {
    this.near.adoptUses(entry)
  }

  tagged(entry: Entry, before: readonly string[], after: readonly string[]): void {
    if (before.length > 0 || after.length > 0) this.tags(entry.space.namespace).retag(entry, before, after)
  }

  written(entry: Entry): void {
    if (isRecord(entry)) {
      this.#recordChanged(entry)
      return
    }
    this.waits.written(entry)
    this.streams.written(entry)
    if (entry.deadline !== 0) this.watchEnds()
  }

  removed(entry: Entry, cause: Cause): void {
    if (isRecord(entry)) this.#recordChanged(entry)
    else this.streams.removed(entry, cause)
  }

  gone(entry: Entry, cause: 'evicted' | 'expired'): void {
    if (!this.#wantsRemovals()) return
    const { namespace, version } = entry.space
    const removed = { namespace, version, key: givenForm(entry), reason: cause === 'expired' ? 1 : 0 }
    this.#removed.push(removed)
    if (this.#removed.length === 1) void Promise.resolve().then(() => this.#reportRemovals())
  }

  #recordChanged(entry: Entry): void {
    if (entry.space.purpose === Purpose.Flights) {
      const tags = this.tags(entry.space.namespace)
      const load = `${entry.space.version}.${entry.text}`
      if (entry.live && tokenOf(entry.value) !== undefined) tags.loadBegun(load)
      else tags.loadEnded(load)
    }
    this.recordWatches.changed(entry)
  }

  #wantsRemovals(): boolean {
    for (const listener of this.listeners) if (listener.wantsRemovals) return true
    return false
  }

  #reportRemovals(): void {
    const removed = this.#removed
    this.#removed = []
    for (const listener of this.listeners) {
      const isOwn = ({ namespace, version }: (typeof removed)[number]): boolean =>
        namespace === listener.namespace && version === listener.version
      const own = listener.wantsRemovals ? removed.filter(isOwn) : []
      if (own.length === 0) continue
      const ids = [0, ...own.map(({ reason }) => reason)]
      post(
        listener,
        Notice.Removed,
        ids,
        own.map(({ key }) => key),
      )
    }
  }
}
