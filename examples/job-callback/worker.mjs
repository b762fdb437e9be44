/**
 * A worker of the web app. The cluster chooses the worker of each request.
 *
 *   POST /jobs          { number }: orders its factors from the service and answers with the result
 *   POST /callback/:id  { factors }: receives a result of the service
 */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { open } from 'cache-machine'

const cache = open({ name: process.env.CACHE_NAME ?? 'job-callback', size: '8mb' })

async function startJob({ number }) {
  const id = randomUUID()
  const callback = `http://127.0.0.1:${server.address().port}/callback/${id}`
  await fetch(process.env.SERVICE_URL, { method: 'POST', body: JSON.stringify({ number, callback }) })
  // No polling: this worker sleeps until a process sets the key. If the key is already set, it does not sleep.
  const { value } = await cache.waitFor(`job:${id}`, { timeout: '10s' })
  cache.delete(`job:${id}`)
  return { ...value, waitedBy: process.pid }
}

function takeCallback({ factors }, id) {
  cache.set(`job:${id}`, { factors, calledBack: process.pid }, '1m')
  return {}
}

const server = createServer(async (request, response) => {
  try {
    const body = await json(request)
    const [, what, id] = request.url.split('/')
    const answer = what === 'jobs' ? await startJob(body) : takeCallback(body, id)
    response.end(JSON.stringify(answer))
  } catch (error) {
    console.error(error)
    response.writeHead(500).end(JSON.stringify({ error: error.message }))
  }
})

server.listen(0, '127.0.0.1')
