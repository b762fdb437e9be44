/**
 * One worker of the API: it asks the limiter before it answers a request.
 */
import { createServer } from 'node:http'
import { cache, metrics } from './cache.mjs'

const limit = Number(process.argv[2])
const limiter = cache.limiter('api', { limit, window: '1m' })
const served = metrics.counter('requests_total', { status: 200 }, { help: 'Requests answered by all workers.' })
const refused = metrics.counter('requests_total', { status: 429 })

const server = createServer((request, response) => {
  const { allowed, remaining, retryAfter } = limiter.consume(
    request.headers['x-client'] ?? request.socket.remoteAddress,
  )
  response.setHeader('X-Worker', process.pid)
  response.setHeader('RateLimit', `"api";r=${remaining}`)
  if (allowed) {
    served.inc()
    response.end('hello')
  } else {
    refused.inc()
    response.writeHead(429, { 'Retry-After': Math.ceil(retryAfter / 1000) }).end()
  }
})
server.listen(0, '127.0.0.1')
