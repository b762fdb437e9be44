/**
 * Looks at one segment, about once a second, and tells what it saw as a frame. Work that grows with the segment is done
 * in slices: some namespaces and some entries with each frame.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Key } from '../arguments/keys.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { CacheError } from '../errors.ts'
import { SampleView } from '../sampling/sample-view.ts'
import type { SampleFrame } from '../sampling/sample-view.ts'
import { timeOfClass } from '../sampling/samples.ts'
import type { Held } from '../segment/holders.ts'
import { seen } from '../segment/seen-processes.ts'
import type { SeenProcess } from '../segment/seen-processes.ts'
import type { SegmentInfo } from '../segment/segments.ts'
import type { Stats } from '../segment/stats.ts'
import { healthOf } from '../viewing/health.ts'
import { ratesOf } from '../viewing/rates.ts'
import type { Rates } from '../viewing/rates.ts'
import { Sizes } from '../viewing/sizes.ts'
import { keyForm } from './forms.ts'
import type { KeyForm } from './forms.ts'
import type { DashboardSource, ViewedCache } from './source.ts'

/** Minimum time between two looks. */
const MIN_PAUSE: Milliseconds = 300
const MAX_HOT = 20
const MAX_LARGE = 20
const MAX_HELD = 200
/** A segment has up to 1,023 namespaces, and each needs a handle. */
const MAX_NAMESPACES = 100
const NAMESPACES_PER_FRAME = 10
/** Processes are asked for more seldom than counts: the system is asked about each of them. */
const PROCESSES_EVERY: Milliseconds = 3000
const MAX_SHARDS = 1024

/** The counts of one namespace; the empty name is that of the root. */
export type NamespaceForm = Pick<
  Stats,
  | 'hits'
  | 'misses'
  | 'sets'
  | 'deletes'
  | 'evictions'
  | 'expirations'
  | 'entries'
  | 'bytes'
  | 'guaranteedBytes'
  | 'maximumBytes'
  | 'evictedForSize'
  | 'evictedForOthers'
> & { readonly name: string }

/** What a viewer is shown. JSON turns Infinity into null. */
export interface Frame {
  readonly time: Milliseconds
  readonly info: Omit<SegmentInfo, 'processes'>
  readonly health: { readonly verdict: string; readonly text: string; readonly hint: string | null }
  readonly stats: Omit<Stats, 'namespaces'>
  readonly rates: Rates
  readonly processes: readonly SeenProcess[]
  /** Of each shard: capacity, reserved, used, small queue, main queue, pinned (bytes), entries, repairs. */
  readonly shards: readonly (readonly number[])[]
  readonly samples: object
  readonly largest: readonly (KeyForm & { readonly namespace: string; readonly bytes: number })[]
  readonly namespaces: readonly NamespaceForm[]
  /** All namespaces, also those that are not listed. */
  readonly namespaceCount: number
  readonly held: readonly object[]
}

export class Watcher {
  readonly #source: DashboardSource
  readonly #name: string
  readonly #root: ViewedCache
  readonly #samples = new SampleView()
  readonly #end = new AbortController()
  readonly #sizes: Sizes
  readonly #namespaces = new Map<string, { form: NamespaceForm; held: Held[] }>()
  #nextNamespace = 0
  #before: { readonly stats: Stats; readonly at: Milliseconds }
  #info: { readonly info: SegmentInfo; readonly processes: SeenProcess[]; readonly at: Milliseconds } | undefined
  /** Set when the stream of samples ended, as it does when the segment is destroyed. */
  #isDeaf = false

  /** Throws `ERR_NO_SEGMENT`. `root` is closed by its owner. */
  constructor(source: DashboardSource, name: string, root: ViewedCache) {
    this.#source = source
    this.#name = name
    this.#root = root
    this.#before = { stats: root.stats(), at: performance.now() }
    this.#sizes = new Sizes(MAX_LARGE, () => [
      ['', root],
      ...this.#listed().map((space) => [space, this.#in(space)] as const),
    ])
    this.#listen()
  }

  /** Throws `ERR_NO_SEGMENT` if the segment is gone. */
  async look(): Promise<Frame> {
    if (this.#isDeaf) this.#listen()
    // Rates need some time between two looks.
    if (performance.now() - this.#before.at < MIN_PAUSE) await delay(MIN_PAUSE, undefined, { ref: false })
    const stats = this.#root.stats()
    const at = performance.now()
    const { stats: before, at: last } = this.#before
    this.#before = { stats, at }
    const { info, processes } = this.#look(at)
    this.#lookIntoNamespaces(stats)
    await this.#sizes.look()
    const { namespaces, ...counts } = stats
    const { processes: _, ...segment } = info
    const { verdict, text, hint } = healthOf(info, processes)
    return {
      time: Date.now(),
      info: segment,
      health: { verdict, text, hint: hint ?? null },
      stats: counts,
      rates: ratesOf(before, stats, Math.max((at - last) / 1000, 0.001)),
      processes,
      shards: this.#source.shardsOf(this.#root).slice(0, MAX_SHARDS).map(Object.values) as number[][],
      samples: sampleForm(this.#samples.frame(MAX_HOT)),
      largest: this.#sizes.largest().map(({ namespace, key, bytes }) => ({ namespace, ...keyForm(key), bytes })),
      namespaces: [...this.#namespaces.values()].map(({ form }) => form),
      namespaceCount: namespaces.length,
      held: this.#held(),
    }
  }

  /** Ends the subscription, which lets the processes end their samples. */
  close(): void {
    this.#end.abort()
  }

  #listen(): void {
    this.#isDeaf = false
    this.#samples.follow(this.#root, this.#end.signal).catch(() => (this.#isDeaf = true))
  }

  #look(at: Milliseconds): { info: SegmentInfo; processes: SeenProcess[] } {
    if (this.#info !== undefined && at - this.#info.at < PROCESSES_EVERY) return this.#info
    const info = this.#source.inspect(this.#name)
    if (info === undefined) throw new CacheError('ERR_NO_SEGMENT', `the segment "${this.#name}" is gone`)
    const processes = info.processes.map((process) => seen(process, info.path))
    this.#info = { info, processes, at }
    return this.#info
  }

  #listed(): readonly string[] {
    return this.#before.stats.namespaces.slice(0, MAX_NAMESPACES)
  }

  #in(namespace: string): ViewedCache {
    return namespace === '' ? this.#root : this.#root.namespace(namespace)
  }

  /** The root each time, and some of the namespaces in turn. */
  #lookIntoNamespaces(stats: Stats): void {
    const listed = this.#listed()
    for (const name of this.#namespaces.keys()) {
      if (name !== '' && !listed.includes(name)) this.#namespaces.delete(name)
    }
    const due = listed.length <= NAMESPACES_PER_FRAME ? [...listed] : this.#due(listed)
    for (const name of ['', ...due]) {
      const cache = this.#in(name)
      this.#namespaces.set(name, {
        form: namespaceForm(name, cache.stats({ scope: 'namespace' })),
        held: this.#source.heldIn(cache),
      })
    }
    if (stats.namespaces.length === 0) this.#nextNamespace = 0
  }

  #due(listed: readonly string[]): string[] {
    const start = this.#nextNamespace % listed.length
    this.#nextNamespace = start + NAMESPACES_PER_FRAME
    const missing = listed.filter((name) => !this.#namespaces.has(name)).slice(0, NAMESPACES_PER_FRAME)
    return missing.length > 0 ? missing : listed.slice(start, start + NAMESPACES_PER_FRAME)
  }

  #held(): object[] {
    return [...this.#namespaces]
      .flatMap(([namespace, { held }]) => held.map((one) => heldForm(namespace, one)))
      .slice(0, MAX_HELD)
  }
}

function namespaceForm(name: string, stats: Stats): NamespaceForm {
  const { hits, misses, sets, deletes, evictions, expirations, entries, bytes } = stats
  const { guaranteedBytes, maximumBytes, evictedForSize, evictedForOthers } = stats
  const counts = { hits, misses, sets, deletes, evictions, expirations, entries, bytes }
  return { name, ...counts, guaranteedBytes, maximumBytes, evictedForSize, evictedForOthers }
}

function heldForm(namespace: string, { kind, key, holders, waiters }: Held): object {
  return { namespace, kind, ...keyForm(key), holders, waiters }
}

/** The classes of time as pairs, without empty ones. */
function sampleForm({ hottest, calls, ...rest }: SampleFrame): object {
  return {
    ...rest,
    hottest: hottest.map(({ key, ...hot }) => ({ ...hot, ...keyForm(key as Key) })),
    calls: Object.fromEntries(
      Object.entries(calls).map(([kind, { classes, ...times }]) => [kind, { ...times, classes: pairsOf(classes) }]),
    ),
  }
}

/** The lower limit of each class in milliseconds, and its number of samples. */
function pairsOf(classes: readonly number[]): [from: Milliseconds, count: number][] {
  return classes.flatMap((count, i): [Milliseconds, number][] => (count === 0 ? [] : [[timeOfClass(i), count]]))
}
