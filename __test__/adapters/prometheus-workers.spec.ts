/**
 * cache-machine/prometheus under cluster: one worker answers a scrape for all of them, also after a worker was killed or
 * suspended.
 */
import { existsSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { readScrape } from '../helpers/exposition.ts'
import type { ReadMetric } from '../helpers/exposition.ts'
import { Client, serveApp } from '../helpers/host-app.ts'
import { segmentName } from '../helpers/segment.ts'

const test = onNative('another process')

class Scraper {
  readonly client: Client
  /** What the clients of all workers have counted so far. */
  readonly sent = new Map<number, number>()

  constructor(port: number) {
    this.client = new Client({ port })
  }

  get total(): number {
    return [...this.sent.values()].reduce((sum, each) => sum + each, 0)
  }

  async work(requests: number): Promise<void> {
    await Promise.all(
      Array.from({ length: requests }, async () => {
        const { worker } = await this.client.get('/work')
        this.sent.set(worker, (this.sent.get(worker) ?? 0) + 1)
      }),
    )
  }

  /** A scrape of any worker. */
  async scrape(): Promise<{ worker: number; metrics: Map<string, ReadMetric> }> {
    const { status, body, worker } = await this.client.get('/metrics')
    if (status !== 200) throw new Error(String(body['error']))
    return { worker, metrics: readScrape(String(body['text'])) }
  }

  /** A scrape of each of these workers. */
  async scrapeEach(pids: readonly number[]): Promise<Map<string, ReadMetric>[]> {
    const found = new Map<number, Map<string, ReadMetric>>()
    await eventually('each worker answers a scrape', async () => {
      const { worker, metrics } = await this.scrape()
      return found.set(worker, metrics) && pids.every((pid) => found.has(pid))
    })
    return [...found.values()]
  }
}

function sample(metrics: ReadonlyMap<string, ReadMetric>, name: string, series = name): number | undefined {
  return metrics.get(name)?.samples.get(series)
}

function checkCounts(t: ExecutionContext, metrics: ReadonlyMap<string, ReadMetric>, total: number): void {
  t.is(sample(metrics, 'requests_total', 'requests_total{path="/work"}'), total)
  t.is(sample(metrics, 'exact_total'), total)
  t.is(sample(metrics, 'request_seconds', 'request_seconds_count'), total)
  t.is(sample(metrics, 'request_seconds', 'request_seconds_bucket{le="1"}'), total)
  t.is(sample(metrics, 'request_seconds', 'request_seconds_sum'), total / 2)
  t.is(sample(metrics, 'sizes', 'sizes_count'), total)
}

test('prometheus: each of three workers answers for all, exactly and at once', async (t) => {
  t.timeout(90_000)
  const name = segmentName(t)
  const { port, pids } = await serveApp(t, 'prometheus', name, 3)
  const scraper = new Scraper(port)
  await scraper.work(30)
  for (const metrics of await scraper.scrapeEach(pids)) {
    checkCounts(t, metrics, scraper.total)
    t.is(sample(metrics, 'living_workers'), 3)
    t.is(sample(metrics, 'open_connections'), 3)
    t.is(sample(metrics, 'cache_machine_processes', `cache_machine_processes{cache="${name}"}`), 3)
    // Metrics of Node.js that prom-client itself collects, with its rules: of the start of a process, none.
    t.is(metrics.get('nodejs_heap_size_used_bytes')?.type, 'gauge')
    t.false(metrics.has('process_start_time_seconds'))
  }
  t.true(scraper.sent.size > 1, 'several workers had work')
})

test('prometheus: the counts of a killed worker stay, its gauges go', async (t) => {
  t.timeout(90_000)
  const { port, pids } = await serveApp(t, 'prometheus', segmentName(t), 3)
  const scraper = new Scraper(port)
  await scraper.work(30)
  // Each worker has published what it counted.
  for (const metrics of await scraper.scrapeEach(pids)) checkCounts(t, metrics, scraper.total)
  const [killed = 0, ...left] = pids
  process.kill(killed, 'SIGKILL')
  await eventually('the primary has noticed its end', () => !existsSync(`/proc/${killed}`))
  await eventually('the gauges of the killed worker go', async () => {
    const found = await scraper.scrape().catch(() => undefined)
    if (found === undefined) return undefined
    checkCounts(t, found.metrics, scraper.total)
    return ['living_workers', 'open_connections'].every((gauge) => sample(found.metrics, gauge) === 2)
  })
  await scraper.work(10)
  for (const each of await scraper.scrapeEach(left)) checkCounts(t, each, scraper.total)
})

test('prometheus: the last published metrics stand for a suspended worker', async (t) => {
  t.timeout(90_000)
  const { port, pids } = await serveApp(t, 'prometheus', segmentName(t), 2)
  const scraper = new Scraper(port)
  await scraper.work(20)
  await scraper.scrapeEach(pids)
  const [suspended = 0, left = 0] = pids
  process.kill(suspended, 'SIGSTOP')
  t.teardown(() => {
    // The worker may have ended with its primary.
    try {
      process.kill(suspended, 'SIGCONT')
    } catch {}
  })
  // The connections that the suspended worker has taken get no answer.
  const racing = Array.from({ length: 6 }, () => scraper.scrape().catch(() => undefined))
  const { worker, metrics } = (await Promise.any(racing)) ?? { worker: 0, metrics: new Map<string, ReadMetric>() }
  t.is(worker, left)
  checkCounts(t, metrics, scraper.total)
  t.is(sample(metrics, 'living_workers'), 2)
  process.kill(suspended, 'SIGCONT')
  await Promise.all(racing)
})
