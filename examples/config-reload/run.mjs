/**
 * A configuration that changes in all workers at once: three workers keep it in a plain object and follow the changes
 * of the primary.
 *
 * Read `follow`: it starts to watch before it reads, so that it misses no change in between, and reads everything again
 * after lost changes.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import { open, segments } from 'cache-machine'

const WORKERS = 3
const name = process.env.CACHE_NAME ?? 'config-reload'
const cache = open({ name, size: '8mb' })

if (cluster.isPrimary) await change()
else await follow()

/** The primary: changes settings while the workers run, and waits until all workers have the last change. */
async function change() {
  cache.set('config:log-level', 'info')
  cache.set('config:banner', 'hello')
  const workers = Array.from({ length: WORKERS }, () => cluster.fork())
  await Promise.all(workers.map(nextMessage))

  cache.set('config:log-level', 'debug')
  cache.delete('config:banner')
  cache.set('config:rate', 100)
  cache.set('config:version', 2) // the last change, after which a worker reports

  const reports = await Promise.all(workers.map(nextMessage))
  console.log(`${reports.length} workers have: ${JSON.stringify(reports[0])}`)
  console.log(
    `all workers have the same: ${reports.every((report) => JSON.stringify(report) === JSON.stringify(reports[0]))}`,
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

/** A worker: keeps the configuration current in a plain object. */
async function follow() {
  // The watch starts with this call, so no change is missed between the call and the first read.
  const changes = cache.watch({ prefix: 'config:' })
  let config = Object.fromEntries(cache.entries({ prefix: 'config:' }))
  process.send('ready')
  for await (const { key, lost } of changes) {
    if (lost > 0 || key === undefined) config = Object.fromEntries(cache.entries({ prefix: 'config:' }))
    else if (cache.has(key)) config[key] = cache.get(key)
    else delete config[key]
    if (config['config:version'] === 2) process.send(config)
  }
}
