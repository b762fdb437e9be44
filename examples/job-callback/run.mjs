/**
 * A job with a callback, under plain node:cluster. A client asks one of four workers for the factors of a number. The
 * worker orders them from a slow service and waits. The service calls the app back, and the cluster hands that request
 * to another worker, which sets a key. The `set` wakes the waiting worker.
 *
 * Read `worker.mjs` for `cache.waitFor` and `cache.set`. The code of this primary has no part in it.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { json } from 'node:stream/consumers'
import { segments } from 'cache-machine'
import { factor } from '../pm2-app/factor.js'

const WORKERS = 4
const NUMBERS = [91, 97, 1001, 65_535, 123_456]

const service = await startService()
const port = await startWorkers()
console.log(`${WORKERS} workers listen on one port`)

// One job at a time: the cluster hands each request to the next worker, so a callback never reaches the waiting worker.
let elsewhere = 0
for (const number of NUMBERS) {
  const { factors, waitedBy, calledBack } = await post(`http://127.0.0.1:${port}/jobs`, { number })
  console.log(`${number} = ${factors.join(' × ')} (worker ${waitedBy} waited, worker ${calledBack} was called back)`)
  if (waitedBy !== calledBack) elsewhere++
}
console.log(`callbacks that did not reach the waiting worker: ${elsewhere} of ${NUMBERS.length}`)

service.close()
const ended = Object.values(cluster.workers).map((worker) => once(worker, 'exit'))
cluster.disconnect()
await Promise.all(ended) // `destroy` refuses while a process is attached
console.log(`nothing is left: ${segments.destroy(process.env.CACHE_NAME ?? 'job-callback')}`)

/** Starts the slow external service: it accepts an order and calls back with the result. */
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

/** Starts the workers. @returns {Promise<number>} their common port, which the system chooses */
async function startWorkers() {
  cluster.setupPrimary({ exec: new URL('worker.mjs', import.meta.url).pathname })
  const serviceUrl = `http://127.0.0.1:${service.address().port}`
  const listening = Array.from({ length: WORKERS }, async () => {
    const [address] = await once(cluster.fork({ SERVICE_URL: serviceUrl }), 'listening')
    return address.port
  })
  return (await Promise.all(listening))[0]
}

/** Uses a new connection, because a connection that is kept alive stays with its first worker. */
async function post(url, body) {
  const sent = request(url, { method: 'POST', agent: false })
  sent.end(JSON.stringify(body))
  const [response] = await once(sent, 'response')
  return json(response)
}
