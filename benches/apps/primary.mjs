/**
 * The application: a cluster with the database in its primary. The benchmark starts it, tells it what to do, and is told
 * what happened.
 */
import cluster from 'node:cluster'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Database } from './database.mjs'

const { workers, ...app } = JSON.parse(process.argv[2])
const database = new Database()
await database.listen(app.database)
const port = await freePort()
const env = { BENCH_APP: JSON.stringify(app), BENCH_APP_PORT: `${port}` }

cluster.setupPrimary({ exec: fileURLToPath(new URL('worker.mjs', import.meta.url)) })
await Promise.all(Array.from({ length: workers }, startWorker))
process.send({ port })

process.on('message', async ({ command }) => {
  if (command === 'state') {
    const pids = Object.values(cluster.workers).map((worker) => worker.process.pid)
    process.send({ queries: database.queries, pids })
  }
  if (command === 'kill') {
    const [victim] = Object.values(cluster.workers)
    victim.process.kill('SIGKILL')
    await startWorker()
    process.send({ replaced: true })
  }
})
process.on('disconnect', () => {
  for (const worker of Object.values(cluster.workers)) worker.process.kill('SIGKILL')
  process.exit()
})

async function startWorker() {
  const worker = cluster.fork(env)
  const failed = once(worker, 'exit').then(([code]) => {
    throw new Error(`a worker ended with ${code} before it listened`)
  })
  failed.catch(() => undefined)
  await Promise.race([once(worker, 'message'), failed])
}

/** All workers listen on one port, also one that starts later, so the system chooses it once. */
async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: free } = server.address()
  server.close()
  await once(server, 'close')
  return free
}
