/**
 * A worker of the application: an HTTP server of one framework, with one cache.
 *
 *   GET /page?start=7&count=50     the sum over its items, and their versions
 *   GET /write?id=7                changes an item; answers with its new version
 */
import { connectDatabase } from './database.mjs'
import { checkOf, idsOf } from './items.mjs'
import { appStores } from './stores.mjs'

const frameworks = { express: listenExpress, fastify: listenFastify }

const { framework, store, database, ...context } = JSON.parse(process.env.BENCH_APP)
const { open } = appStores.find(({ id }) => id === store)
const cache = await open({ ...context, database: connectDatabase(database) })
await frameworks[framework](Number(process.env.BENCH_APP_PORT))
process.send({ ready: true })

async function page({ start, count }) {
  const items = await Promise.all(idsOf(Number(start), Number(count)).map((id) => cache.load(id)))
  return { sum: items.reduce((sum, item) => sum + checkOf(item), 0), versions: items.map(({ version }) => version) }
}

async function write({ id }) {
  const { version } = await cache.write(Number(id))
  return { version }
}

async function listenExpress(port) {
  const { default: express } = await import('express')
  const app = express()
  const answer = (work) => (request, response, next) => {
    work(request.query).then((result) => response.json(result), next)
  }
  app.get('/page', answer(page))
  app.get('/write', answer(write))
  await new Promise((resolve) => app.listen(port, '127.0.0.1', resolve))
}

async function listenFastify(port) {
  const { default: fastify } = await import('fastify')
  const app = fastify()
  app.get('/page', (request) => page(request.query))
  app.get('/write', (request) => write(request.query))
  await app.listen({ port, host: '127.0.0.1' })
}
