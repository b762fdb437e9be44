/**
 * A rate-limited API: four cluster workers, one limit. A client that sends as fast as it can reaches all of them; together they
 * let through exactly as many requests as the limit allows, as if there were one.
 *
 * To look at: `worker.mjs`, which asks the limiter before it does anything; and the metrics, which the primary renders for all.
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

/** @returns {Promise<number>} where they listen, all on the same port */
async function startWorkers() {
  const listening = Array.from({ length: WORKERS }, () => once(cluster.fork(), 'listening'))
  const [[{ port }]] = await Promise.all(listening)
  return port
}

/** Twenty at a time. @returns {Promise<{ status: number, pid: string, retryAfter: string }[]>} */
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
  console.log(`more than one worker had some of them: ${workers > 1}`)
  console.log(`together they let ${allowed.length} through`)
  console.log(`${refused.length} were told to come back in ${refused[0].retryAfter} s`)
  console.log('what any of the processes can render for all:')
  console.log(metrics.prometheus({ statistics: false }).trim())
}
