/**
 * A server with metrics of prom-client: `/work` counts in both ways, `/metrics` answers with those of all workers.
 */
import { createServer } from 'node:http'
import * as client from 'prom-client'
import type { SharedCache } from '../../../index.ts'
import { collectCacheMetrics, sharedMetrics, sharedRegistry } from '../../../lib/adapters/prometheus.ts'
import { WORKER } from './app.ts'

export async function serve(cache: SharedCache): Promise<void> {
  const { register, AggregatorRegistry } = client
  client.collectDefaultMetrics()
  collectCacheMetrics(cache, { register })
  const requests = new client.Counter({ name: 'requests_total', help: 'Requests.', labelNames: ['path'] })
  const seconds = new client.Histogram({ name: 'request_seconds', help: 'Time of requests.', buckets: [1, 2] })
  const sizes = new client.Summary({ name: 'sizes', help: 'Sizes.' })
  const living = new client.Gauge({ name: 'living_workers', help: 'Workers.' })
  living.set(1)
  const shared = sharedMetrics(cache, { register })
  const exact = new shared.Counter({ name: 'exact_total', help: 'Requests, in shared memory.' })
  const open = new shared.Gauge({ name: 'open_connections', help: 'Workers, in shared memory.' })
  open.set(1)
  // A scrape must not depend on the interval.
  const all = sharedRegistry(cache, { register, AggregatorRegistry, interval: '1h', timeout: '5s' })
  const server = createServer((request, response) => {
    response.setHeader(WORKER, process.pid)
    if (request.url !== '/metrics') {
      requests.inc({ path: request.url ?? '' })
      exact.inc()
      seconds.observe(0.5)
      sizes.observe(2)
      return void response.setHeader('content-type', 'application/json').end('{}')
    }
    all.metrics().then(
      (text) => response.setHeader('content-type', all.contentType).end(JSON.stringify({ text })),
      (error: unknown) => response.writeHead(500).end(JSON.stringify({ error: String(error) })),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()))
}
