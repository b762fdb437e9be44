/**
 * The algorithm service: a slow machine of somebody else's, that calls back when it is done.
 *
 *   POST /factor  { "number": 91, "delay": 300, "callback": "http://…" }: 202 at once; the prime factors to
 *                 `callback` after `delay` milliseconds (default 500)
 */
import { createServer, request as httpRequest } from 'node:http'
import { json } from 'node:stream/consumers'

const port = Number(process.env.SERVICE_PORT ?? 3001)
const longestDelay = 5 * 60_000

function factor(number) {
  const factors = []
  let rest = number
  for (let prime = 2; prime * prime <= rest; prime++) {
    for (; rest % prime === 0; rest /= prime) factors.push(prime)
  }
  return rest > 1 ? [...factors, rest] : factors
}

/** On a connection of its own: one that is kept alive would stay with the worker that it met first. */
function callBack(url, body) {
  const request = httpRequest(url, { method: 'POST', agent: false }, (response) => response.resume())
  request.on('error', (error) => console.error(`callback to ${url} failed: ${error.message}`))
  request.end(JSON.stringify(body))
}

const server = createServer(async (request, response) => {
  if (request.method !== 'POST' || request.url !== '/factor') return response.writeHead(404).end()

  const { number, delay = 500, callback } = await json(request).catch(() => ({}))
  const valid =
    Number.isSafeInteger(number) && number > 1 && delay >= 0 && delay <= longestDelay && URL.canParse(callback)
  if (!valid) return response.writeHead(400).end('expected { number, delay?, callback }')

  response.writeHead(202).end()
  setTimeout(() => callBack(callback, { result: factor(number) }), delay)
})

server.listen(port, '127.0.0.1', () => process.send?.('ready'))

process.once('SIGINT', () => process.exit(0))
process.once('SIGTERM', () => process.exit(0))
