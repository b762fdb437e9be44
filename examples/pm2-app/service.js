/**
 * The algorithm service: stands for a slow external service that calls back with its result.
 *
 *   POST /factor  { "number": 91, "delay": 300, "callback": "http://…" }: 202 at once; the prime factors to
 *                 `callback` after `delay` milliseconds (default 500)
 */
import { createServer, request as httpRequest } from 'node:http'
import { json } from 'node:stream/consumers'
import { factor } from './factor.js'

const port = Number(process.env.SERVICE_PORT ?? 3001)
const MAX_DELAY_MS = 5 * 60_000

/** Uses a new connection, because a connection that is kept alive stays with its first worker. */
function callBack(url, body) {
  const request = httpRequest(url, { method: 'POST', agent: false }, (response) => response.resume())
  request.on('error', (error) => console.error(`callback to ${url} failed: ${error.message}`))
  request.end(JSON.stringify(body))
}

const server = createServer(async (request, response) => {
  if (request.method !== 'POST' || request.url !== '/factor') return response.writeHead(404).end()

  const { number, delay = 500, callback } = await json(request).catch(() => ({}))
  const valid =
    Number.isSafeInteger(number) && number > 1 && delay >= 0 && delay <= MAX_DELAY_MS && URL.canParse(callback)
  if (!valid) return response.writeHead(400).end('expected { number, delay?, callback }')

  response.writeHead(202).end()
  setTimeout(() => callBack(callback, { result: factor(number) }), delay)
})

server.listen(port, '127.0.0.1', () => process.send?.('ready'))

process.once('SIGINT', () => process.exit(0))
process.once('SIGTERM', () => process.exit(0))
