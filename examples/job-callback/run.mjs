/**
 * A job that is called back, with nothing but node:cluster: a client asks one of four workers for the factors of a number. The
 * worker orders them from a slow service and waits. The service calls the app back, and the cluster hands that request to
 * another worker, which sets a key. That wakes the one that waits.
 *
 * To look at: `worker.mjs`, where the two meet in `cache.waitFor` and `cache.set`. No code of this primary is involved.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { segments } from 'cache-machine'

const WORKERS = 4
const NUMBERS = [91, 97, 1001, 65_535, 123_456]

const service = await startService()
const port = await startWorkers()
console.log(`${WORKERS} workers listen on one port`)

// One after the other: the cluster hands each request to the next worker, so a callback never meets the worker that waits.
let elsewhere = 0
for (const number of NUMBERS) {
  const { factors, waitedBy, calledBack } = await post(`http://127.0.0.1:${port}/jobs`, { number })
  console.log(`${number} = ${factors.join(' × ')} (worker ${waitedBy} waited, worker ${calledBack} was called back)`)
  if (waitedBy !== calledBack) elsewhere++
}
console.log(`callbacks that reached another worker than the one that waited: ${elsewhere} of ${NUMBERS.length}`)

service.close()
const ended = Object.values(cluster.workers).map((worker) => once(worker, 'exit'))
cluster.disconnect()
await Promise.all(ended) // a segment is destroyed when nobody is attached any more
console.log(`nothing is left: ${segments.destroy(process.env.CACHE_NAME ?? 'job-callback')}`)

/** The slow service of somebody else: accepts an order, and calls back when it is done. */
async function startService() {
  const server = createServer(async (order, response) => {
    const { number, callback } = await json(order)
    response.end()
    setTimeout(() => post(callback, { factors: factor(number) }), 100)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** Starts the workers; they share one port of the system's choice, which is returned. */
async function startWorkers() {
  cluster.setupPrimary({ exec: new URL('worker.mjs', import.meta.url).pathname })
  const serviceUrl = `http://127.0.0.1:${service.address().port}`
  const listening = Array.from({ length: WORKERS }, async () => {
    const [address] = await once(cluster.fork({ SERVICE_URL: serviceUrl }), 'listening')
    return address.port
  })
  return (await Promise.all(listening))[0]
}

/** On a connection of its own: one that is kept alive would stay with the worker that it met first. */
async function post(url, body) {
  const sent = request(url, { method: 'POST', agent: false })
  sent.end(JSON.stringify(body))
  const [response] = await once(sent, 'response')
  return json(response)
}

function factor(number) {
  const factors = []
  let rest = number
  for (let prime = 2; prime * prime <= rest; prime++) {
    for (; rest % prime === 0; rest /= prime) factors.push(prime)
  }
  return rest > 1 ? [...factors, rest] : factors
}
