/**
 * A worker of the web app. Which one gets a request is the cluster's affair.
 *
 *   POST /jobs          { number }: has the service factor it, and answers when the result is there
 *   POST /callback/:id  { factors }: the service brings a result
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
  // No polling: this worker sleeps until whichever process sets the key. If it is set by now, it does not sleep at all.
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
