/**
 * A configuration that every worker has at once: three workers keep it in a plain object, and follow what the primary changes.
 *
 * To look at: `follow`, which watches before it reads, so that nothing is missed in between; and what it does when it was too slow.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { open, segments } from 'cache-machine'

const WORKERS = 3
const name = process.env.CACHE_NAME ?? 'config-reload'
const cache = open({ name, size: '8mb' })

if (cluster.isPrimary) await change()
else await follow()

/** The primary: changes settings while the workers run, and waits until all of them have the last one. */
async function change() {
  cache.set('config:log-level', 'info')
  cache.set('config:banner', 'hello')
  const workers = Array.from({ length: WORKERS }, () => cluster.fork())
  await Promise.all(workers.map(nextMessage))

  cache.set('config:log-level', 'debug')
  cache.delete('config:banner')
  cache.set('config:rate', 100)
  cache.set('config:version', 2) // the last one: with it a worker reports

  const reports = await Promise.all(workers.map(nextMessage))
  console.log(`${reports.length} workers have: ${JSON.stringify(reports[0])}`)
  console.log(
    `all of them the same: ${reports.every((report) => JSON.stringify(report) === JSON.stringify(reports[0]))}`,
  )

  const ended = workers.map((worker) => once(worker, 'exit'))
  for (const worker of workers) worker.kill()
  await Promise.all(ended)
  cache.close()
  console.log(`nothing is left: ${segments.destroy(name)}`)
}

function nextMessage(worker) {
  return new Promise((resolve) => worker.once('message', resolve))
}

/** A worker: the configuration in a plain object, kept current. */
async function follow() {
  // Watching begins with this call, so nothing is missed between it and the first reading.
  const changes = cache.watch({ prefix: 'config:' }, { ref: true })
  let config = Object.fromEntries(cache.entries({ prefix: 'config:' }))
  process.send('ready')
  for await (const { key, lost } of changes) {
    if (lost > 0 || key === undefined) config = Object.fromEntries(cache.entries({ prefix: 'config:' }))
    else if (cache.has(key)) config[key] = cache.get(key)
    else delete config[key]
    if (config['config:version'] === 2) process.send(config)
  }
}
