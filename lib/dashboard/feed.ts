/**
 * The live frames of the segments, as server-sent events. One watcher for each segment serves all its viewers; it starts
 * with the first of them and ends with the last.
 */
import type { ServerResponse } from 'node:http'
import type { Milliseconds } from '../arguments/units.ts'
import type { CacheError } from '../errors.ts'
import { unref } from '../waiting/timers.ts'
import type { OpenSegments } from './open-segments.ts'
import type { DashboardSource } from './source.ts'
import { Watcher } from './watcher.ts'
import type { Frame } from './watcher.ts'

const INTERVAL: Milliseconds = 1000
/** Frames between two questions whether a viewer may still look. */
const ASKED_EVERY = 30
/** Maximum number of viewers of one segment. */
const MAX_VIEWERS = 64
/** Points of the charts that a new viewer gets. */
const MAX_POINTS = 600
/** A viewer that does not read is passed over. */
const MAX_UNREAD = 2 ** 20

/** A viewer, and whether it may still look. */
interface Viewer {
  readonly response: ServerResponse
  mayLook(): boolean | Promise<boolean>
}

/** The numbers of a moment that charts show. */
type Point = readonly [time: Milliseconds, ...numbers: number[]]

/** The feeds of all segments. */
export class Feeds {
  readonly #source: DashboardSource
  readonly #segments: OpenSegments
  readonly #feeds = new Map<string, Feed>()

  constructor(source: DashboardSource, segments: OpenSegments) {
    this.#source = source
    this.#segments = segments
  }

  /** Sends frames until the viewer leaves. False: there are too many viewers. */
  add(name: string, viewer: Viewer): boolean {
    const feed = this.#feeds.get(name) ?? new Feed(name, this.#source, this.#segments, () => this.#feeds.delete(name))
    this.#feeds.set(name, feed)
    return feed.add(viewer)
  }

  close(): void {
    for (const feed of this.#feeds.values()) feed.close()
  }
}

class Feed {
  readonly #name: string
  readonly #source: DashboardSource
  readonly #segments: OpenSegments
  readonly #onEnd: () => void
  readonly #viewers = new Set<Viewer>()
  #watcher: Watcher | undefined
  #points: Point[] = []
  #timer: NodeJS.Timeout | undefined
  #frames = 0
  #isClosed = false
  #isLooking = false

  constructor(name: string, source: DashboardSource, segments: OpenSegments, onEnd: () => void) {
    this.#name = name
    this.#source = source
    this.#segments = segments
    this.#onEnd = onEnd
  }

  add(viewer: Viewer): boolean {
    if (this.#viewers.size >= MAX_VIEWERS) return false
    const { response } = viewer
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'X-Accel-Buffering': 'no' })
    // After this time a viewer asks again when its connection has ended.
    response.write(`retry: 1000\n\n`)
    send(viewer, 'history', this.#points)
    this.#viewers.add(viewer)
    response.on('close', () => this.#remove(viewer))
    if (this.#timer === undefined) this.#tick()
    return true
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearTimeout(this.#timer)
    for (const { response } of this.#viewers) response.end()
    this.#viewers.clear()
    this.#leave()
    this.#onEnd()
  }

  #remove(viewer: Viewer): void {
    this.#viewers.delete(viewer)
    if (this.#viewers.size === 0) this.close()
  }

  #tick(): void {
    this.#timer = setTimeout(() => this.#tick(), INTERVAL)
    unref(this.#timer)
    if (!this.#isLooking) void this.#show()
  }

  #watch(): Watcher {
    if (this.#watcher !== undefined) return this.#watcher
    const root = this.#segments.keep(this.#name)
    try {
      this.#watcher = new Watcher(this.#source, this.#name, root)
      return this.#watcher
    } catch (error) {
      this.#segments.release(this.#name)
      throw error
    }
  }

  /** Never rejects. */
  async #show(): Promise<void> {
    this.#isLooking = true
    try {
      if (++this.#frames % ASKED_EVERY === 0) await this.#askAgain()
      const frame = await this.#watch().look()
      if (this.#isClosed) return
      this.#remember(frame)
      this.#sendAll('frame', frame)
    } catch (error) {
      this.#leave()
      const { message, code = 'ERR_UNEXPECTED', hint = null } = error as Partial<CacheError>
      this.#sendAll('trouble', { code, message, hint })
    } finally {
      this.#isLooking = false
    }
  }

  /** Ends the streams of those that may no longer look. */
  async #askAgain(): Promise<void> {
    for (const viewer of this.#viewers) {
      if (!(await viewer.mayLook())) viewer.response.end()
    }
  }

  #leave(): void {
    if (this.#watcher === undefined) return
    this.#watcher.close()
    this.#watcher = undefined
    this.#segments.release(this.#name)
  }

  #remember({ time, rates, stats }: Frame): void {
    const { hits, misses, sets, deletes, evictions, expirations } = rates
    this.#points.push([time, hits, misses, sets, deletes, evictions, expirations, stats.usedBytes])
    if (this.#points.length > MAX_POINTS) this.#points = this.#points.slice(-MAX_POINTS)
  }

  #sendAll(event: string, data: unknown): void {
    for (const viewer of this.#viewers) send(viewer, event, data)
  }
}

function send({ response }: Viewer, event: string, data: unknown): void {
  if (response.writableLength > MAX_UNREAD) return
  response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)
}
