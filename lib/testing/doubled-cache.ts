/**
 * A cache with hooks, and the open ones of this thread by name: caches of one name share a segment, as those of two
 * processes do.
 */
import { SharedCache } from '../cache/shared-cache.ts'
import { invalid } from '../errors.ts'
import type { CacheErrorCode } from '../errors.ts'
import type { OpenOptions, SegmentOptions } from '../arguments/options.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { testHooks } from '../engine/hooks.ts'
import { STATUS_CODES } from '../native/layout.ts'
import { dateClock } from '../portable/clock.ts'
import { segments } from '../segment/segments.ts'
import { MovedClock } from './clock.ts'
import { Double } from './double.ts'

/** What is open under a name. */
interface Shared {
  readonly double: Double
  readonly given: object | undefined
  readonly caches: Set<DoubledCache<unknown>>
}

const open = new Map<string, Shared>()
const FAIL_NEXT = accepted<{ on: unknown; times: unknown }>('failNext', { on: true, times: true })

/** See `TestCache`. */
export class DoubledCache<V = unknown> extends SharedCache<V> {
  readonly #shared: Shared
  readonly #place: SegmentOptions

  constructor(options: OpenOptions, clock: object | undefined) {
    const shared = open.get(options.name) ?? newShared(clock)
    if (clock !== undefined && shared.given !== clock) {
      throw invalid(`clock must be that of the open test cache "${options.name}"`, clock)
    }
    super({ ...options, [testHooks]: shared.double } as OpenOptions)
    this.#shared = shared
    this.#place = { directory: options.directory, group: options.group, engine: options.engine }
    shared.caches.add(this as DoubledCache<unknown>)
    open.set(this.name, shared)
  }

  get pendingFailures(): number {
    return this.#shared.double.pendingFailures
  }

  failNext(
    code: CacheErrorCode,
    options: { on?: 'read' | 'write' | undefined; times?: number | undefined } = {},
  ): void {
    checkOptions(options, FAIL_NEXT)
    const { on, times = 1 } = options
    if (!CODES.has(code)) throw invalid('failNext takes the code of a CacheError', code)
    if (on !== undefined && on !== 'read' && on !== 'write') throw invalid("on must be 'read' or 'write'", on)
    if (!Number.isInteger(times) || times < 1) throw invalid('times must be a whole number of at least 1', times)
    this.#shared.double.fail(code, on, times)
  }

  override close(): void {
    super.close()
    const { caches } = this.#shared
    if (!caches.delete(this as DoubledCache<unknown>) || caches.size > 0) return
    open.delete(this.name)
    segments.destroy(this.name, { ...this.#place, force: true })
  }
}

/** Closes all test caches of this thread. */
export function closeAll(): void {
  for (const { caches } of open.values()) for (const cache of caches) cache.close()
}

const CODES: ReadonlySet<unknown> = new Set(STATUS_CODES.filter((code) => code !== undefined))

function newShared(clock: object | undefined): Shared {
  if (clock !== undefined && !(clock instanceof MovedClock)) {
    throw invalid('clock must be a clock of createTestClock', clock)
  }
  return { double: new Double(clock ?? dateClock()), given: clock, caches: new Set() }
}
