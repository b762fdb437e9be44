/**
 * A web app of which PM2 runs four copies behind one port. All copies open the same cache by its name; they have no
 * other connection.
 *
 *   POST /jobs          { "number": 91 }: orders its factors from the algorithm service and answers with the result
 *   POST /callback/:id  receives a result of the service, in the worker that PM2 chooses
 *   GET  /items/:n      a slow query, cached
 *   GET  /stats         the memory of this worker, the stats of the cache, the count of item requests over all workers
 *   GET  /healthz
 */
import cluster from 'node:cluster'
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { open } from 'cache-machine'

const port = Number(process.env.PORT ?? 3000)
const serviceUrl = `http://127.0.0.1:${process.env.SERVICE_PORT ?? 3001}/factor`

const cache = open({ name: process.env.CACHE_NAME ?? 'pm2-app', size: '64mb' })

async function startJob(request) {
  const id = randomUUID()
  const order = { ...(await json(request)), callback: `http://127.0.0.1:${port}/callback/${id}` }
  const accepted = await fetch(serviceUrl, { method: 'POST', body: JSON.stringify(order) })
  if (!accepted.ok) return { status: 502, body: { error: await accepted.text() } }

  const waitingSince = process.hrtime.bigint()
  const { value } = await cache.waitFor(`job:${id}`, { timeout: '10s' })
  const now = process.hrtime.bigint()

  return {
    status: 200,
    body: {
      result: value.result,
      waitedBy: process.pid,
      calledBack: value.pid,
      waitedMs: Number(now - waitingSince) / 1e6,
      wakeUpMs: Number(now - BigInt(value.at)) / 1e6,
    },
  }
}

async function takeCallback(request, id) {
  const { result } = await json(request)
  // hrtime is the monotonic clock of the host, the same in every process, so the waiting worker can compute the delay.
  cache.set(`job:${id}`, { result, pid: process.pid, at: String(process.hrtime.bigint()) }, '1m')
  return { status: 204 }
}

async function readItem(request, n) {
  const key = `item:${n}`
  let item = cache.get(key)
  const hit = item !== undefined
  if (!hit) {
    item = await queryDatabase(n)
    cache.set(key, item, '10m')
  }
  cache.incr('requests')
  return { status: 200, body: { pid: process.pid, hit, id: item.id, bytes: item.text.length } }
}

/** Stands for a query that is too slow for every request. */
async function queryDatabase(n) {
  await pause(5)
  return { id: Number(n), text: `item ${n} `.repeat(1024).slice(0, 8192) }
}

function readStats() {
  return {
    status: 200,
    body: {
      pid: process.pid,
      requests: cache.peek('requests') ?? 0,
      cache: cache.stats(),
      memory: process.memoryUsage(),
    },
  }
}

const routes = [
  ['POST', /^\/jobs$/, startJob],
  ['POST', /^\/callback\/([\w-]+)$/, takeCallback],
  ['GET', /^\/items\/(\d+)$/, readItem],
  ['GET', /^\/stats$/, readStats],
  ['GET', /^\/healthz$/, () => ({ status: 200, body: { pid: process.pid } })],
]

async function answer(request) {
  for (const [method, path, handle] of routes) {
    const match = request.method === method && path.exec(request.url)
    if (match) return handle(request, match[1])
  }
  return { status: 404, body: { error: `no ${request.method} ${request.url}` } }
}

const server = createServer(async (request, response) => {
  const { status, body } = await answer(request).catch((error) => {
    console.error(error)
    return { status: 500, body: { error: error.message, code: error.code } }
  })
  response.writeHead(status, { 'content-type': 'application/json' }).end(body && JSON.stringify(body))
})

// Loopback only, because any client that reaches /callback can answer a job. In a real app the service signs its
// callbacks.
server.listen(port, '127.0.0.1', () => process.send?.('ready'))

let isExiting = false

/** Accepts no more connections, answers the open ones, exits. The data stays: closing a handle deletes nothing. */
function exit() {
  if (isExiting) return
  isExiting = true
  const end = () => {
    cache.close()
    process.exit(0)
  }
  // In a cluster, closing the server is not enough, because the primary may be handing over a connection. `disconnect`
  // also closes the server, and returns such connections to the primary, which hands them to another worker.
  if (cluster.worker) cluster.worker.once('disconnect', end).disconnect()
  else server.close(end)
}

process.once('SIGINT', exit)
process.once('SIGTERM', exit)
process.on('message', (message) => message === 'shutdown' && exit())
