/**
 * Watches and subscriptions: each has a bounded queue of items, and its listener is notified once until it has emptied
 * the queue. `crates/core/src/streams/` is the original, which reads its items from rings.
 */
import { Notice, What } from '../native/layout.ts'
import type { NativeStreamItem } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { isRecord } from './entry.ts'
import type { Cause, Change, Entry } from './entry.ts'
import { failure, noSpace } from './failure.ts'
import type { Geometry } from './geometry.ts'
import { givenForm } from './keys.ts'
import type { StoredKey } from './keys.ts'
import { Batch } from './notices.ts'
import type { Listener } from './notices.ts'

/** The filter of a watch. */
export interface Filter {
  readonly key: string | undefined
  startsWith(key: string): boolean
  readonly tags: readonly string[]
}

/** The channel of a subscription. */
export interface Channel {
  readonly name: string
  readonly isPrefix: boolean
}

interface Stream {
  readonly id: number
  readonly listener: Listener
  readonly namespace: number
  /** Of a watch: as in `Space`. */
  readonly version: number
  readonly filter: Filter | undefined
  readonly channel: Channel | undefined
  /** Maximum number of items in the queue. */
  readonly most: number
  queue: NativeStreamItem[]
  /** Items lost behind the last item of the queue. */
  lost: number
  notified: boolean
}

/** Maximum number of channels and prefixes with subscriptions. */
const MAX_CHANNELS = 4096
const FRAME_WORDS = 5

const WHAT: Readonly<Record<Exclude<Cause, 'cleared'>, Change>> = {
  deleted: What.Delete,
  evicted: What.Evict,
  expired: What.Expire,
}

export class Streams {
  readonly #geometry: Geometry
  readonly #streams = new Map<number, Stream>()
  #lastId = 0
  /** Number of watches. */
  #watches = 0

  constructor(geometry: Geometry) {
    this.#geometry = geometry
  }

  /** Whether a watch is open. */
  get isWatched(): boolean {
    return this.#watches > 0
  }

  watch(listener: Listener, namespace: number, filter: Filter, most: number): number {
    this.#watches++
    return this.#add({ listener, namespace, version: listener.version, filter, channel: undefined, most })
  }

  subscribe(listener: Listener, namespace: number, channel: Channel, most: number): number {
    const names = new Set<string>()
    for (const { namespace: other, channel: known } of this.#streams.values()) {
      if (known !== undefined) names.add(nameOf(other, known))
    }
    if (names.size >= MAX_CHANNELS && !names.has(nameOf(namespace, channel))) {
      throw noSpace(`${MAX_CHANNELS} channels are subscribed to, counted once for each process, which is the most`)
    }
    return this.#add({ listener, namespace, version: 0, filter: undefined, channel, most })
  }

  end(id: number): void {
    if (this.#streams.get(id)?.filter !== undefined) this.#watches--
    this.#streams.delete(id)
  }

  endOf(listener: Listener): void {
    for (const { id, listener: other } of this.#streams.values()) if (other === listener) this.end(id)
  }

  /** Takes items, in order. After fewer than `max` the listener will be notified again. */
  take(id: number, max: number): NativeStreamItem[] {
    const stream = this.#streams.get(id)
    if (stream === undefined) return []
    const items = stream.queue.splice(0, max)
    if (items.length < max) {
      if (stream.lost > 0 && stream.filter !== undefined) {
        items.push({ ...aboutAll(What.Invalidate), lost: stream.lost })
        stream.lost = 0
      }
      stream.notified = false
    }
    return items
  }

  written(entry: Entry): void {
    this.#change(entry, What.Set)
  }

  removed(entry: Entry, cause: Cause): void {
    if (cause !== 'cleared') this.#change(entry, WHAT[cause])
  }

  /** All values of a namespace were removed; of the root, those of all namespaces. */
  cleared(namespace: number): void {
    this.#each((stream) => {
      if (stream.filter === undefined || (namespace !== 0 && stream.namespace !== namespace)) return undefined
      return aboutAll(What.Clear)
    })
  }

  invalidated(namespace: number, tags: readonly string[]): void {
    this.#each((stream) => {
      if (stream.filter === undefined || stream.namespace !== namespace) return undefined
      const positions = positionsOf(stream.filter.tags, tags)
      const isConcerned = stream.filter.tags.length === 0 || positions.length > 0
      return isConcerned ? { ...aboutAll(What.Invalidate), tags: positions } : undefined
    })
  }

  /** Returns for how many subscriptions the message is. */
  publish(namespace: number, channel: StoredKey, kind: number, value: Uint8Array): number {
    const needed = (FRAME_WORDS + Math.ceil(channel.length / 8) + Math.ceil(value.length / 8)) * 8
    const limit = this.#geometry.maxMessage
    if (needed > limit) {
      throw failure(
        'ERR_VALUE_TOO_LARGE',
        `the message needs ${needed} bytes with its channel, the segment takes ${limit} at most`,
      )
    }
    let audience = 0
    this.#each((stream) => {
      if (stream.channel === undefined || stream.namespace !== namespace || !isFor(stream.channel, channel.text)) {
        return undefined
      }
      audience++
      return { ...aboutAll(What.Message), key: channel.text, value: new Uint8Array(value), kind }
    })
    return audience
  }

  #add(stream: Omit<Stream, 'id' | 'queue' | 'lost' | 'notified'>): number {
    const id = ++this.#lastId
    this.#streams.set(id, { ...stream, most: Math.max(stream.most, 1), id, queue: [], lost: 0, notified: false })
    return id
  }

  #change(entry: Entry, what: Change): void {
    if (this.#watches === 0 || isRecord(entry)) return
    const key: RawKey = givenForm(entry)
    const { space } = entry
    this.#each(({ filter, namespace, version }) => {
      if (filter === undefined || namespace !== space.namespace || version !== space.version) return undefined
      if (filter.key !== undefined && filter.key !== entry.text) return undefined
      if (!filter.startsWith(entry.text)) return undefined
      const tags = positionsOf(filter.tags, entry.tags)
      if (filter.tags.length > 0 && tags.length === 0) return undefined
      return { ...aboutAll(what), key, version: entry.version, tags }
    })
  }

  /** Gives each stream its item, if there is one for it. */
  #each(itemFor: (stream: Stream) => NativeStreamItem | undefined): void {
    const due = new Batch(Notice.Streams)
    for (const stream of this.#streams.values()) {
      const item = itemFor(stream)
      if (item === undefined) continue
      push(stream, item)
      if (stream.notified) continue
      stream.notified = true
      due.add(stream.listener, stream.id)
    }
    due.post()
  }
}

/** The oldest items make room, and count as lost. */
function push(stream: Stream, item: NativeStreamItem): void {
  stream.queue.push({ ...item, lost: stream.lost })
  stream.lost = 0
  while (stream.queue.length > stream.most) {
    const dropped = stream.queue.shift() as NativeStreamItem
    const first = stream.queue[0] as NativeStreamItem
    stream.queue[0] = { ...first, lost: first.lost + dropped.lost + 1 }
  }
}

function aboutAll(what: Change): NativeStreamItem {
  return { what, version: 0, tags: [], kind: 0, lost: 0 }
}

/** The positions of the watched tags that are among those of an entry. */
function positionsOf(watched: readonly string[], tags: readonly string[]): number[] {
  return watched.flatMap((tag, index) => (tags.includes(tag) ? [index] : []))
}

function isFor({ name, isPrefix }: Channel, channel: string): boolean {
  return isPrefix ? channel.startsWith(name) : channel === name
}

function nameOf(namespace: number, { name, isPrefix }: Channel): string {
  return `${namespace}.${isPrefix}.${name}`
}
