/**
 * A rate-limited API: four cluster workers, one limit. A client that sends as fast as possible reaches all workers.
 * Together they accept exactly as many requests as the limit allows, like a single worker.
 *
 * Read `worker.mjs`, which asks the limiter before it answers a request, and the metrics, which the primary renders for
 * all workers.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { segments } from 'cache-machine'
import { cache, metrics } from './cache.mjs'

const WORKERS = 4
const LIMIT = 100
const REQUESTS = 500

cluster.setupPrimary({ exec: new URL('worker.mjs', import.meta.url).pathname, args: [String(LIMIT)] })
try {
  const port = await startWorkers()
  const answers = await sendRequests(port)
  report(answers)
} finally {
  const workers = Object.values(cluster.workers)
  const ended = workers.map((worker) => once(worker, 'exit'))
  for (const worker of workers) worker.kill()
  await Promise.all(ended)
  cache.close()
  console.log(`nothing is left: ${segments.destroy(cache.name)}`)
}

/** @returns {Promise<number>} the common port of the workers */
async function startWorkers() {
  const listening = Array.from({ length: WORKERS }, () => once(cluster.fork(), 'listening'))
  const [[{ port }]] = await Promise.all(listening)
  return port
}

/** Sends the requests, 20 at a time. @returns {Promise<{ status: number, pid: string, retryAfter: string }[]>} */
async function sendRequests(port) {
  const agent = new Agent({ maxSockets: 20 })
  const send = async () => {
    const request = get({ host: '127.0.0.1', port, agent, headers: { 'x-client': 'ada' } })
    const [response] = await once(request, 'response')
    response.resume()
    const { 'x-worker': pid, 'retry-after': retryAfter } = response.headers
    return { status: response.statusCode, pid, retryAfter }
  }
  return Promise.all(Array.from({ length: REQUESTS }, send))
}

function report(answers) {
  const allowed = answers.filter(({ status }) => status === 200)
  const refused = answers.filter(({ status }) => status === 429)
  const workers = new Set(answers.map(({ pid }) => pid)).size
  console.log(`${REQUESTS} requests of one client, a limit of ${LIMIT} a minute, ${WORKERS} workers`)
  console.log(`more than one worker received some of them: ${workers > 1}`)
  console.log(`together they accepted ${allowed.length}`)
  console.log(`${refused.length} were refused, to retry after ${refused[0].retryAfter} s`)
  console.log('the metrics of all workers, which any process can render:')
  console.log(metrics.prometheus({ statistics: false }).trim())
}
