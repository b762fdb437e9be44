/**
 * A stampede: ten workers miss the same key at the same time, and the database receives one query. Then the loading
 * worker is killed during its query, and another worker takes over at once.
 *
 * Read `worker.mjs`: one call of `cache.getOrSet` is enough. This process plays the database and counts the queries.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { segments } from 'cache-machine'

const WORKERS = 10
const REQUESTS = 100

/** The worker that sent each query. */
const queries = []
/** Whether the database leaves queries unanswered. */
let isHanging = false

const workers = []
for (let i = 0; i < WORKERS; i++) workers.push(await startWorker())

const answers = await Promise.all(workers.map((worker) => askAll(worker, 'report:1')))
console.log(`${WORKERS} workers, ${REQUESTS} requests each: ${queries.length} query`)
console.log(`all have the same answer: ${answers.every((answer) => answer === answers[0])}`)

isHanging = true
queries.length = 0
const asked = workers.map((worker) => askAll(worker, 'report:2'))
while (queries.length === 0) await delay(5)
// By then all workers wait for the loader; otherwise no worker could take over.
await delay(200)
const [loader] = queries
isHanging = false
const killedAt = performance.now()
loader.kill('SIGKILL')
await Promise.all(asked.filter((_, i) => workers[i] !== loader))
console.log(`the loading worker is killed: ${queries.length} queries`)
console.log(`the other workers have their answers ${Math.ceil(performance.now() - killedAt)} ms later`)

for (const worker of workers) worker.kill()
await Promise.all(workers.map((worker) => worker.exitCode ?? worker.signalCode ?? once(worker, 'exit')))
console.log(`nothing is left: ${segments.destroy(process.env.CACHE_NAME ?? 'stampede')}`)

async function startWorker() {
  const worker = fork(new URL('worker.mjs', import.meta.url))
  worker.on('message', async (message) => {
    if (message.query === undefined) return
    queries.push(worker)
    await delay(20)
    if (!isHanging) worker.send({ rows: `rows of ${message.query}` })
  })
  await once(worker, 'message')
  return worker
}

/** The answer of a worker to its requests; undefined if the worker ends before. */
function askAll(worker, key) {
  const answer = new Promise((resolve) => {
    worker.once('exit', () => resolve(undefined))
    worker.on('message', (message) => {
      if (message.key === key) resolve(message.answer)
    })
  })
  worker.send({ key, requests: REQUESTS })
  return answer
}
