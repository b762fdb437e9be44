/**
 * The samples of all processes of a segment, as a viewer sees them: the hottest keys, and how long calls take.
 *
 * Processes sample as long as a viewer subscribes. All numbers are those of the last `WINDOW` seconds. Memory is bounded,
 * however many processes send however many keys.
 */
import type { Key } from '../arguments/keys.ts'
import type { Milliseconds } from '../arguments/units.ts'
import type { MessageBus } from '../cache/store.ts'
import { CALL_KINDS, CHANNEL, SAMPLED_EVERY, TIME_CLASSES, keyOfSample, readBatch, timeOfClass } from './samples.ts'
import type { CallKind, SampleBatch, SampledKey } from './samples.ts'

/** Seconds. */
const WINDOW = 10
/** Maximum number of different keys of a second. */
const MAX_KEYS = 2000
/** Messages that wait. A second has one of each cache object. */
const BUFFER = 10_000

/** A key with its estimated rates, in calls per second. */
export interface HotKey {
  /** Empty for the root. */
  readonly namespace: string
  readonly key: Key
  readonly reads: number
  readonly writes: number
}

/** How long the calls of one kind take. Times are milliseconds; undefined without samples. */
export interface CallTimes {
  /** Estimated calls per second. */
  readonly rate: number
  readonly samples: number
  readonly p50: Milliseconds | undefined
  readonly p99: Milliseconds | undefined
  readonly max: Milliseconds | undefined
  /** The numbers of samples by class of time; see `timeOfClass`. */
  readonly classes: readonly number[]
}

/** What was sampled in the last seconds. */
export interface SampleFrame {
  /** In the order of their rates. */
  readonly hottest: readonly HotKey[]
  readonly calls: Readonly<Record<CallKind, CallTimes>>
  /** Processes that sent samples. */
  readonly pids: readonly number[]
  /** Seconds that the numbers are of. */
  readonly seconds: number
}

interface Second {
  readonly at: number
  readonly calls: Record<CallKind, number>
  readonly times: Record<CallKind, Float64Array>
  readonly keys: Map<string, { key: SampledKey; reads: number; writes: number }>
  readonly pids: Set<number>
}

export class SampleView {
  readonly #now: () => Milliseconds
  readonly #since: Milliseconds
  #seconds: Second[] = []

  /** `now`: a clock that never goes back. */
  constructor(now: () => Milliseconds = () => performance.now()) {
    this.#now = now
    this.#since = now()
  }

  /**
   * Subscribes at the root of a segment, and takes all samples until the signal is aborted, which resolves. Rejects when
   * the segment is lost.
   */
  async follow(root: Pick<MessageBus, 'subscribe'>, signal: AbortSignal): Promise<void> {
    try {
      for await (const { message } of root.subscribe(CHANNEL, { signal, buffer: BUFFER, ref: false })) {
        const batch = readBatch(message)
        if (batch !== undefined) this.add(batch)
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  add({ pid, calls, keys, times }: SampleBatch): void {
    const second = this.#current()
    second.pids.add(pid)
    for (const kind of CALL_KINDS) {
      second.calls[kind] += calls[kind]
      const sums = second.times[kind]
      for (const [timeClass, count] of times[kind]) sums[timeClass] = (sums[timeClass] as number) + count
    }
    for (const key of keys) {
      const id = idOf(key)
      const known = second.keys.get(id)
      if (known !== undefined) {
        known.reads += key.reads
        known.writes += key.writes
      } else if (second.keys.size < MAX_KEYS) second.keys.set(id, { key, reads: key.reads, writes: key.writes })
    }
  }

  /** The present numbers, with up to `max` keys. */
  frame(max: number): SampleFrame {
    this.#forget()
    // A batch has the samples of the second before it.
    const seconds = Math.min(Math.max((this.#now() - this.#since) / 1000, 1), WINDOW)
    return {
      hottest: this.#hottest(max, seconds),
      calls: Object.fromEntries(CALL_KINDS.map((kind) => [kind, this.#timesOf(kind, seconds)])) as SampleFrame['calls'],
      pids: [...new Set(this.#seconds.flatMap(({ pids }) => [...pids]))].toSorted((a, b) => a - b),
      seconds,
    }
  }

  #current(): Second {
    const at = Math.floor(this.#now() / 1000)
    const last = this.#seconds.at(-1)
    if (last?.at === at) return last
    this.#forget()
    const second: Second = {
      at,
      calls: { near: 0, hit: 0, miss: 0, set: 0 },
      times: { near: classes(), hit: classes(), miss: classes(), set: classes() },
      keys: new Map(),
      pids: new Set(),
    }
    this.#seconds.push(second)
    return second
  }

  #forget(): void {
    const oldest = Math.floor(this.#now() / 1000) - WINDOW
    this.#seconds = this.#seconds.filter(({ at }) => at > oldest)
  }

  #hottest(max: number, seconds: number): HotKey[] {
    const sums = new Map<string, { key: SampledKey; reads: number; writes: number }>()
    for (const { keys } of this.#seconds) {
      for (const [id, { key, reads, writes }] of keys) {
        const sum = sums.get(id)
        if (sum === undefined) sums.set(id, { key, reads, writes })
        else {
          sum.reads += reads
          sum.writes += writes
        }
      }
    }
    const rate = (samples: number): number => (samples * SAMPLED_EVERY) / seconds
    return [...sums.values()]
      .toSorted((a, b) => b.reads + b.writes - a.reads - a.writes)
      .slice(0, max)
      .map(({ key, reads, writes }) => ({
        namespace: key.namespace,
        key: keyOfSample(key),
        reads: rate(reads),
        writes: rate(writes),
      }))
  }

  #timesOf(kind: CallKind, seconds: number): CallTimes {
    const sums = classes()
    let calls = 0
    for (const second of this.#seconds) {
      calls += second.calls[kind]
      for (const [i, count] of second.times[kind].entries()) sums[i] = (sums[i] as number) + count
    }
    const samples = sums.reduce((sum, count) => sum + count, 0)
    return {
      rate: (calls * SAMPLED_EVERY) / seconds,
      samples,
      p50: quantile(sums, samples, 0.5),
      p99: quantile(sums, samples, 0.99),
      max: quantile(sums, samples, 1),
      classes: [...sums],
    }
  }
}

function classes(): Float64Array {
  return new Float64Array(TIME_CLASSES)
}

function idOf({ namespace, text, hex }: SampledKey): string {
  return JSON.stringify([namespace, text, hex])
}

/** The upper limit of the class in which this part of the samples ends. */
function quantile(sums: Float64Array, samples: number, part: number): Milliseconds | undefined {
  if (samples === 0) return undefined
  let left = samples * part
  const at = sums.findIndex((count) => (left -= count) <= 0)
  return timeOfClass((at === -1 ? TIME_CLASSES - 1 : at) + 1)
}
