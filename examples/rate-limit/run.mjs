/**
 * A rate-limited API: four cluster workers, one limit. `node examples/rate-limit/run.mjs`
 *
 * A client that sends as fast as it can reaches all four workers; together they let through exactly as many requests as the limit
 * allows, as if there were one. Then the primary renders what all workers have counted. It ends by itself.
 */
import assert from 'node:assert/strict'
import cluster from 'node:cluster'
import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { segments } from '../../dist/index.js'
import { cache, metrics } from './cache.mjs'

const WORKERS = 4
const LIMIT = 100
const REQUESTS = 500

cluster.setupPrimary({ exec: new URL('worker.mjs', import.meta.url).pathname, args: [cache.name, String(LIMIT)] })
try {
  const port = await startWorkers()
  const answers = await sendRequests(port)
  report(answers)
} finally {
  for (const worker of Object.values(cluster.workers)) worker.kill()
  cache.close()
  segments.destroy(cache.name, { force: true })
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
  const byWorker = groupByWorker(allowed)
  console.log(`${REQUESTS} requests of one client, a limit of ${LIMIT} a minute, ${WORKERS} workers:`)
  for (const [pid, own] of byWorker) console.log(`  worker ${pid} let ${own.length} through`)
  console.log(`together ${allowed.length}; ${refused.length} were told to come back in ${refused[0].retryAfter} s`)
  console.log('\nWhat any of the processes can render for all:')
  console.log(metrics.prometheus({ statistics: false }))

  assert.equal(allowed.length, LIMIT)
  assert.equal(refused.length, REQUESTS - LIMIT)
  assert.ok(byWorker.size > 1, 'one worker had it all, which shows nothing')
  assert.equal(metrics.counter('requests_total', { status: 200 }).value, LIMIT)
  assert.equal(metrics.counter('requests_total', { status: 429 }).value, REQUESTS - LIMIT)
}

/** By process id; `Map.groupBy` is newer than Node 20. */
function groupByWorker(answers) {
  const groups = new Map()
  for (const answer of answers) groups.set(answer.pid, [...(groups.get(answer.pid) ?? []), answer])
  return groups
}
