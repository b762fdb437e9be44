/**
 * The samples of one cache object and its namespaces: which keys are called, and how long calls take.
 *
 * Hits of the near cache reach no other process, so only the process itself can tell which keys are hot. It collects
 * samples while a viewer subscribes to their channel, and asks for one at most once a second: a message without a
 * subscription is not written. What it keeps is bounded.
 */
import type { Key } from '../arguments/keys.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { native } from '../engine/engine.ts'
import { Kind } from '../native/layout.ts'
import type { Dependent } from '../segment/calls.ts'
import { unref } from '../waiting/timers.ts'
import {
  CALL_KINDS,
  CHANNEL,
  MAX_BATCH_KEYS,
  MAX_SAMPLED_KEY,
  TIME_CLASSES,
  sampledKey,
  timeClassOf,
} from './samples.ts'
import type { CallKind, SampleBatch, SampledKey } from './samples.ts'

/** Time between two batches, and between two questions for a viewer. */
const PAUSE: Milliseconds = 1000
/** Maximum number of different keys between two batches. Later ones are not counted. */
const MAX_KEYS = 512
/** A batch fits the smallest segment, which takes messages of some 8 KiB. */
const MAX_BATCH_BYTES = 6000
/** Pairs of readings of the clock, to learn what it takes to read it. */
const CLOCK_READINGS = 64

type Counted = { -readonly [name in keyof SampledKey]: SampledKey[name] }

/** What a sampler needs of a connection. */
export interface SamplerCalls {
  readonly handleId: number
}

export class Sampler implements Dependent {
  readonly waiting = 0
  readonly #calls: SamplerCalls
  readonly #canSample: boolean
  #isWatched = false
  /** When to ask for a viewer again. */
  #askAt: Milliseconds = 0
  /** Undefined while there are no samples. */
  #samples: Samples | undefined
  #timer: NodeJS.Timeout | undefined
  /** What reading the clock twice takes. */
  #clockCost: Milliseconds | undefined

  /** `canSample` false: it never samples, as for a test double, since a test counts calls. */
  constructor(calls: SamplerCalls, canSample: boolean) {
    this.#calls = calls
    this.#canSample = canSample
  }

  /** Whether a viewer wants samples. To be asked once for each `SAMPLED_EVERY` calls. */
  isWatched(): boolean {
    if (!this.#canSample) return false
    const now = performance.now()
    if (now < this.#askAt) return this.#isWatched
    this.#askAt = now + PAUSE
    if (this.#samples === undefined) this.#isWatched = this.#send('') > 0
    return this.#isWatched
  }

  /** A sampled call. `time`: undefined if it was not measured. */
  note(kind: CallKind, namespace: string, key: Key, time: Milliseconds | undefined): void {
    this.#clockCost ??= clockCost()
    this.#samples ??= new Samples()
    this.#samples.add(kind, namespace, key, time === undefined ? undefined : Math.max(0, time - this.#clockCost))
    if (this.#timer !== undefined) return
    this.#timer = setTimeout(() => this.#flush(), PAUSE)
    unref(this.#timer)
  }

  lose(): void {}

  restart(): void {}

  reject(): void {}

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#samples = undefined
    this.#isWatched = false
  }

  #flush(): void {
    this.#timer = undefined
    const samples = this.#samples
    this.#samples = undefined
    if (samples !== undefined) this.#isWatched = this.#send(samples.text()) > 0
  }

  /** Returns the number of viewers; 0 where the segment is in trouble, which the next call of the cache reports. */
  #send(text: string): number {
    try {
      return native.publish(this.#calls.handleId, CHANNEL, Kind.String, text)
    } catch {
      return 0
    }
  }
}

/** Samples between two batches. */
class Samples {
  readonly #calls: Record<CallKind, number> = { near: 0, hit: 0, miss: 0, set: 0 }
  readonly #times: Partial<Record<CallKind, Uint32Array>> = {}
  readonly #keys = new Map<string, Counted>()

  add(kind: CallKind, namespace: string, key: Key, time: Milliseconds | undefined): void {
    this.#calls[kind]++
    if (time !== undefined) {
      const times = (this.#times[kind] ??= new Uint32Array(TIME_CLASSES))
      const timeClass = timeClassOf(time)
      times[timeClass] = (times[timeClass] as number) + 1
    }
    if (key.length > MAX_SAMPLED_KEY) return
    const form = sampledKey(key)
    const id = JSON.stringify([namespace, form])
    let counted = this.#keys.get(id)
    if (counted === undefined) {
      if (this.#keys.size >= MAX_KEYS) return
      counted = { namespace, ...form, reads: 0, writes: 0 }
      this.#keys.set(id, counted)
    }
    if (kind === 'set') counted.writes++
    else counted.reads++
  }

  /** As a batch. */
  text(): string {
    const times = CALL_KINDS.map((kind) => [kind, pairsOf(this.#times[kind])] as const)
    const batch: SampleBatch = {
      pid: process.pid,
      calls: this.#calls,
      keys: [],
      times: Object.fromEntries(times) as unknown as SampleBatch['times'],
    }
    const keys: SampledKey[] = []
    let bytes = JSON.stringify(batch).length
    const sorted = [...this.#keys.values()].toSorted((a, b) => b.reads + b.writes - a.reads - a.writes)
    for (const key of sorted.slice(0, MAX_BATCH_KEYS)) {
      bytes += Buffer.byteLength(JSON.stringify(key)) + 1
      if (bytes > MAX_BATCH_BYTES) break
      keys.push(key)
    }
    return JSON.stringify({ ...batch, keys })
  }
}

function pairsOf(times: Uint32Array | undefined): [timeClass: number, count: number][] {
  return Array.from(times ?? [], (count, timeClass): [number, number] => [timeClass, count]).filter(
    ([, count]) => count > 0,
  )
}

function clockCost(): Milliseconds {
  let least = Infinity
  for (let i = 0; i < CLOCK_READINGS; i++) {
    const start = performance.now()
    least = Math.min(least, performance.now() - start)
  }
  return least
}
