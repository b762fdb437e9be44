/**
 * Loads the addon in worker threads only, each of which ends while its watcher thread has something to watch for.
 */
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { input, send } from '../helpers/port.ts'

const { name, size, rounds } = input<{ name: string; size: string; rounds: number }>()

for (let round = 0; round < rounds; round++) {
  const worker = new Worker(new URL('./operations.ts', import.meta.url), {
    workerData: { name, size },
    execArgv: ['--import', '@oxc-node/core/register'],
  })
  await once(worker, 'message')
  worker.postMessage(['waitFor', 'never'])
  worker.postMessage(['set', 'round', round])
  await once(worker, 'message')
  // By itself the one, by force the other.
  if (round % 2 === 0) worker.postMessage(['exit'])
  else void worker.terminate()
  await once(worker, 'exit')
}
send('done')
process.disconnect()
