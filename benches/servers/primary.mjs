/**
 * A cluster primary whose workers are measuring processes. It is the server of those contenders that keep their data in the
 * primary: a Map, memored or cluster-shared-memory.
 *
 * Its argument: `{ workers: [what each gets as BENCH_CHILD], program, serialization, store }`. It ends with its last worker, and they end
 * with the suite; it has no other life.
 */
import cluster from 'node:cluster'
import { GET, RING, SET } from './primary-channel.mjs'

const { workers, program, execArgv, serialization, store } = JSON.parse(process.argv[2])

// Both libraries answer in the primary as soon as they are loaded there.
if (store !== undefined) await import(store)

cluster.setupPrimary({
  exec: program,
  args: [],
  execArgv,
  serialization,
  stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
})
const values = new Map()
for (const input of workers) {
  const worker = cluster.fork({ BENCH_CHILD: input })
  // It may have ended with a question on its way.
  worker.on('error', () => undefined)
  if (store === undefined) worker.on('message', (message) => answer(worker, message))
}
cluster.on('exit', () => {
  if (Object.keys(cluster.workers).length === 0) process.exit()
})

function answer(worker, [number, operation, key, value]) {
  if (operation === GET) {
    worker.send([number, values.get(key)])
  } else if (operation === SET) {
    values.set(key, value)
    worker.send([number, true])
  } else if (operation === RING) {
    for (const listener of Object.values(cluster.workers)) if (listener !== worker) listener.send([number, value])
  }
}
