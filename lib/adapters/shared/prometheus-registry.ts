/**
 * The registry of all workers: publishes the metrics of this worker, asks the others to publish theirs, and combines
 * them by the rules of prom-client.
 */
import type { ChannelMessage } from '../../messaging/messages.ts'
import type { Milliseconds } from '../../arguments/units.ts'
import type { PromRegistry } from './prometheus-collection.ts'
import { agreeing, snapshotOf } from './prometheus-data.ts'
import type { PromMetric } from './prometheus-data.ts'
import { PrometheusWorkers } from './prometheus-workers.ts'
import type { PrometheusSpace } from './prometheus-workers.ts'
import { survive } from './reports.ts'
import type { OnError } from './reports.ts'

/** What `AggregatorRegistry.aggregate` of prom-client returns. */
export interface AggregatedRegistry {
  metrics(): Promise<string>
  getMetricsAsJSON(): Promise<object[]>
  getSingleMetricAsString(name: string): Promise<string>
}

/** `AggregatorRegistry` of prom-client, which combines the metrics of workers. */
export interface AggregatorClass {
  // oxlint-disable-next-line typescript/no-explicit-any -- The types of the host leave out the second argument.
  aggregate(metrics: object[], ...contentType: any[]): AggregatedRegistry
}

/** How a registry of all workers works; see `SharedRegistryOptions`. */
export interface SharedRegistrySettings {
  readonly registers: readonly PromRegistry[]
  readonly AggregatorRegistry: AggregatorClass
  readonly interval: Milliseconds
  readonly timeout: Milliseconds
  readonly report: OnError
}

/** A request for the metrics of all others; the answer goes to the channel of the one that asked. */
interface Question {
  readonly from: string
  readonly number: number
}

const QUESTIONS = 'questions'

/** What `sharedRegistry` returns. */
export class SharedRegistry {
  readonly #settings: SharedRegistrySettings
  readonly #space: PrometheusSpace
  readonly #workers: PrometheusWorkers
  readonly #channel: string
  readonly #streams: AsyncIterableIterator<ChannelMessage<never>>[]
  readonly #timer: NodeJS.Timeout
  readonly #waiting = new Map<number, () => void>()
  #questions = 0
  #collections = 0
  #published = 0
  #closed = false

  /** Use `sharedRegistry`. */
  constructor(space: PrometheusSpace, settings: SharedRegistrySettings) {
    this.#settings = settings
    this.#space = space
    this.#workers = new PrometheusWorkers(space, settings.report)
    this.#channel = `answers:${process.pid}:${Math.random()}`
    this.#streams = [
      this.#follow<Question>(QUESTIONS, (question) => void this.#answer(question)),
      this.#follow<number>(this.#channel, (number) => this.#waiting.get(number)?.()),
    ]
    this.#timer = setInterval(() => void this.publish(), settings.interval).unref()
    // Adds the dead: their number must not grow where nothing scrapes.
    survive(settings.report, () => this.#workers.others())
    void this.publish()
  }

  /** The content type for the text of `metrics()`: that of the registry of this worker. */
  get contentType(): string {
    return this.#settings.registers[0]?.contentType ?? ''
  }

  /**
   * The metrics of all workers as text. Waits for other workers until `timeout`.
   *
   * @throws What a `collect` function of a metric in this worker throws.
   * @example
   * response.setHeader('Content-Type', shared.contentType).end(await shared.metrics())
   */
  async metrics(): Promise<string> {
    return (await this.#combined()).metrics()
  }

  /** The same as `metrics`, with the name that it has in `AggregatorRegistry`. */
  async clusterMetrics(): Promise<string> {
    return this.metrics()
  }

  /** The metrics of all workers as objects of prom-client. */
  async getMetricsAsJSON(): Promise<object[]> {
    return (await this.#combined()).getMetricsAsJSON()
  }

  /** One metric of all workers as text. */
  async getSingleMetricAsString(name: string): Promise<string> {
    return (await this.#combined()).getSingleMetricAsString(name)
  }

  /**
   * Publishes the metrics of this worker now. A scrape does it, and so does the interval. Never rejects: what goes wrong
   * is reported to `onError`.
   */
  async publish(): Promise<void> {
    try {
      await this.#collect()
    } catch (error) {
      this.#settings.report(error)
    }
  }

  /**
   * Publishes the metrics of this worker for the last time, and leaves: from now on its counters are those of a dead
   * worker. A worker that calls it before it exits loses no count. Deletes nothing and leaves the cache open.
   *
   * @example
   * process.on('SIGINT', async () => {
   *   await shared.close()
   *   process.exit()
   * })
   */
  async close(): Promise<void> {
    if (this.#closed) return
    clearInterval(this.#timer)
    await this.publish()
    this.#closed = true
    for (const stream of this.#streams) await stream.return?.()
    survive(this.#settings.report, () => this.#workers.leave())
  }

  /** The metrics of this worker, which are published as well. */
  async #collect(): Promise<PromMetric[]> {
    const number = ++this.#collections
    const all = await Promise.all(this.#settings.registers.map((register) => register.getMetricsAsJSON()))
    const metrics = snapshotOf(all.flat() as PromMetric[], this.contentType.includes('openmetrics'))
    // A collection that began earlier and took longer would bring counters down.
    if (number > this.#published && !this.#closed) {
      this.#published = number
      survive(this.#settings.report, () => this.#workers.put(metrics))
    }
    return metrics
  }

  async #combined(): Promise<AggregatedRegistry> {
    const { AggregatorRegistry, report } = this.#settings
    const [mine] = await Promise.all([this.#collect(), this.#ask()])
    const { living, past } = survive(report, () => this.#workers.others()) ?? { living: [], past: [] }
    // After `close`, the counters of this worker are among those of the dead. What all workers read from the segment has
    // its latest value here, so this worker is the first.
    const own = this.#closed ? [] : [{ started: this.#workers.started, metrics: mine }]
    const lists = agreeing([...own, ...living, ...past])
    return AggregatorRegistry.aggregate(lists, this.contentType)
  }

  /** Resolves when all other workers have published, or after the timeout. */
  async #ask(): Promise<void> {
    const { report, timeout } = this.#settings
    const number = ++this.#questions
    const question: Question = { from: this.#channel, number }
    // This worker hears its own question.
    let missing = (survive(report, () => this.#space.publish(QUESTIONS, question)) ?? 1) - 1
    if (missing <= 0) return
    await new Promise<void>((resolve) => {
      // After a busy event loop, answers that are there come first.
      const timer = setTimeout(() => setImmediate(resolve), timeout)
      this.#waiting.set(number, () => {
        if (--missing > 0) return
        clearTimeout(timer)
        resolve()
      })
    })
    this.#waiting.delete(number)
  }

  async #answer({ from, number }: Question): Promise<void> {
    if (from === this.#channel) return
    await this.publish()
    survive(this.#settings.report, () => this.#space.publish(from, number))
  }

  #follow<M>(channel: string, each: (message: M) => void): AsyncIterableIterator<ChannelMessage<never>> {
    const stream = this.#space.subscribe<M>(channel, { ref: false })
    void this.#pump(stream, each)
    return stream as AsyncIterableIterator<ChannelMessage<never>>
  }

  async #pump<M>(stream: AsyncIterable<ChannelMessage<M>>, each: (message: M) => void): Promise<void> {
    try {
      for await (const { message } of stream) each(message)
    } catch (error) {
      this.#settings.report(error)
    } finally {
      // The cache was closed, and with it this worker.
      clearInterval(this.#timer)
    }
  }
}
