/**
 * Loads the addon only in worker threads, each of which ends while its background thread has a wait to serve.
 */
import { Worker } from 'node:worker_threads'
import { once } from 'node:events'
import { typeScript } from '../helpers/fork.ts'
import { input, send } from '../helpers/port.ts'

const { name, size, rounds } = input<{ name: string; size: string; rounds: number }>()

for (let round = 0; round < rounds; round++) {
  const worker = new Worker(new URL('./operations.ts', import.meta.url), {
    workerData: { name, size },
    execArgv: [...typeScript],
  })
  await once(worker, 'message')
  worker.postMessage(['waitFor', 'never'])
  worker.postMessage(['set', 'round', round])
  await once(worker, 'message')
  // Odd rounds end the thread by force, even rounds let it end by itself.
  if (round % 2 === 0) worker.postMessage(['exit'])
  else void worker.terminate()
  await once(worker, 'exit')
}
send('done')
process.disconnect()
