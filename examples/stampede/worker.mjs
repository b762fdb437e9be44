/**
 * One of several equal workers. Each request needs a report, which takes a slow query.
 */
import { once } from 'node:events'
import { open } from 'cache-machine'

const cache = open({ name: process.env.CACHE_NAME ?? 'stampede', size: '8mb' })
process.on('disconnect', () => process.exit())
process.on('message', async ({ key, requests }) => {
  if (key === undefined) return
  const answers = await Promise.all(Array.from({ length: requests }, () => report(key)))
  process.send({ key, answer: answers[0] })
})
process.send('ready')

/** One query for all requests of all workers. */
function report(key) {
  return cache.getOrSet(key, () => query(key), { ttl: '1m' })
}

/** The slow query: the parent process answers it. */
async function query(text) {
  process.send({ query: text })
  const [{ rows }] = await once(process, 'message')
  return rows
}
