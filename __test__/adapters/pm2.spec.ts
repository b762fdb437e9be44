/**
 * Adapters under a real PM2 daemon: what all workers together let through is exactly the limit, and what all of them
 * counted is exactly what was sent, also over a reload.
 */
import { onNative } from '../helpers/engine.ts'
import { readScrape } from '../helpers/exposition.ts'
import { startUnderPm2 } from '../helpers/pm2-app.ts'
import { segmentName } from '../helpers/segment.ts'

const WORKERS = 3
const LIMIT = 40
const REQUESTS = 120

const test = onNative('another process')

/** An application, as a user writes it. */
const limited = (name: string, port: number): string => `
const express = require('express')
const { rateLimit } = require('express-rate-limit')
const { open } = require('cache-machine')
const { expressRateLimitStore } = require('cache-machine/express-rate-limit')
const cache = open({ name: '${name}', size: '8mb' })
const app = express()
app.get('/ready', (request, response) => response.set('x-worker', process.pid).json({}))
app.use((request, response, next) => next(void response.set('x-worker', process.pid)))
app.use(
  rateLimit({ windowMs: 600_000, limit: ${LIMIT}, store: expressRateLimitStore(cache), message: { refused: true } }),
)
app.get('/', (request, response) => response.json({}))
app.listen(${port}, '127.0.0.1')
`

test('express-rate-limit: the workers of PM2 together let through the limit', async (t) => {
  t.timeout(150_000)
  const name = segmentName(t)
  const { client, reload } = await startUnderPm2(t, WORKERS, (port) => limited(name, port))
  const send = async (requests: number): Promise<Map<number, number>> => {
    const counts = new Map<number, number>()
    let sent = 0
    const lane = async (): Promise<void> => {
      while (sent++ < requests) {
        const { status } = await client.get('/')
        counts.set(status, (counts.get(status) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: 12 }, lane))
    return counts
  }
  t.deepEqual(Object.fromEntries(await send(LIMIT - 10)), { 200: LIMIT - 10 })
  await reload()
  t.deepEqual(Object.fromEntries(await send(REQUESTS)), { 200: 10, 429: REQUESTS - 10 })
})

const measured = (name: string, port: number): string => `
const { createServer } = require('node:http')
const { AggregatorRegistry, Counter, Gauge, Histogram, register } = require('prom-client')
const { open } = require('cache-machine')
const { sharedMetrics, sharedRegistry } = require('cache-machine/prometheus')
const cache = open({ name: '${name}', size: '8mb' })
const requests = new Counter({ name: 'requests_total', help: 'Requests.' })
const seconds = new Histogram({ name: 'request_seconds', help: 'Seconds.', buckets: [1] })
new Gauge({ name: 'workers', help: 'Workers.' }).set(1)
const { Counter: ExactCounter } = sharedMetrics(cache, { register })
const exact = new ExactCounter({ name: 'exact_total', help: 'Requests.' })
const shared = sharedRegistry(cache, { register, AggregatorRegistry, interval: '1h', timeout: '10s' })
const server = createServer(async (request, response) => {
  response.setHeader('x-worker', process.pid).setHeader('content-type', 'application/json')
  if (request.url === '/metrics') return response.end(JSON.stringify({ text: await shared.metrics() }))
  if (request.url === '/') {
    requests.inc()
    exact.inc()
    seconds.observe(2)
  }
  response.end('{}')
})
process.on('SIGINT', () => {
  server.close(async () => {
    await shared.close()
    process.exit()
  })
})
server.listen(${port}, '127.0.0.1')
`

test('prometheus: no count goes down over a reload of PM2', async (t) => {
  t.timeout(200_000)
  const name = segmentName(t)
  const { client, reload } = await startUnderPm2(t, WORKERS, (port) => measured(name, port))
  const check = async (requests: number): Promise<void> => {
    const found = readScrape(String((await client.get('/metrics')).body['text']))
    t.deepEqual(
      ['requests_total', 'exact_total', 'workers'].map((each) => found.get(each)?.samples.get(each)),
      [requests, requests, WORKERS],
    )
    t.is(found.get('request_seconds')?.samples.get('request_seconds_count'), requests)
    t.is(found.get('request_seconds')?.samples.get('request_seconds_bucket{le="1"}'), 0)
  }
  for (let round = 1; round <= 3; round++) {
    await Promise.all(Array.from({ length: 20 }, () => client.get('/')))
    await check(20 * round)
    await reload()
    await check(20 * round)
  }
})
