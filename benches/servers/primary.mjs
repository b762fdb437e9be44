/**
 * A cluster primary with measuring processes as workers. It is the server of the contenders that keep their data in the
 * primary: a Map, memored or cluster-shared-memory.
 *
 * Its argument is `{ workers, program, execArgv, serialization, store }`; `workers` has the value of BENCH_CHILD for
 * each worker. The workers end with the suite, and the primary ends with its last worker.
 */
import cluster from 'node:cluster'
import { GET, NOTIFY, SET } from './primary-channel.mjs'

const { workers, program, execArgv, serialization, store } = JSON.parse(process.argv[2])

// memored and cluster-shared-memory answer in the primary as soon as they are loaded there.
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
  // An answer to a worker that has ended fails, which is no problem.
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
  } else if (operation === NOTIFY) {
    for (const listener of Object.values(cluster.workers)) if (listener !== worker) listener.send([number, value])
  }
}
