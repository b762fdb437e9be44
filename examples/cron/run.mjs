/**
 * Cron in several processes: three equal workers, one of which runs the job. When the leader is killed, another worker
 * takes over, down to the last worker.
 *
 * Read `worker.mjs`, where `cache.elect` resolves in the leader. This process does not choose the leader.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { segments } from 'cache-machine'

const WORKERS = 3
const RUNS = 5

const workers = []
for (let i = 0; i < WORKERS; i++) workers.push(await startWorker())
console.log(`${WORKERS} workers want to lead`)

let killedAt
for (const [i, worker] of workers.entries()) {
  await worker.leads
  if (killedAt !== undefined) console.log(`the next worker led ${Math.ceil(performance.now() - killedAt)} ms later`)
  const before = runsBesides(worker)
  while (worker.runs.length < RUNS) await once(worker.process, 'message')
  console.log(`only worker ${i} runs the job: ${runsBesides(worker) === before}`)
  killedAt = performance.now()
  worker.process.kill('SIGKILL')
  await worker.ended
  console.log(`worker ${i} is killed`)
}

const runs = workers.flatMap((worker) => worker.runs)
const numbers = runs.map(({ run }) => run)
console.log(`every run has a different number: ${new Set(numbers).size === numbers.length}`)
const tokens = [...new Set(runs.map(({ token }) => token))]
console.log(`fencing tokens grow from leader to leader: ${tokens.length === WORKERS && tokens.every(isLarger)}`)
console.log(`nothing is left: ${segments.destroy(process.env.CACHE_NAME ?? 'cron')}`)

function runsBesides(worker) {
  return workers.reduce((sum, other) => sum + (other === worker ? 0 : other.runs.length), 0)
}

async function startWorker() {
  const child = fork(new URL('worker.mjs', import.meta.url))
  const worker = { process: child, runs: [], ended: once(child, 'exit') }
  worker.leads = new Promise((resolve) => {
    child.on('message', (message) => {
      if (message === 'leads') resolve()
      else if (message !== 'ready') worker.runs.push(message)
    })
  })
  await once(child, 'message')
  return worker
}

function isLarger(token, i, all) {
  return i === 0 || token > all[i - 1]
}
