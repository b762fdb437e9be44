/**
 * Worker threads that read and write a large text and are terminated, one after the other. Reports the growth of the
 * memory of the process. The threads run the built package: the memory of a compiler must not count.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { input, send } from '../helpers/port.ts'

const { name, length, before, counted } = input<{ name: string; length: number; before: number; counted: number }>()

const program = `
  const { parentPort, workerData } = require('node:worker_threads')
  import(workerData.library).then(({ open }) => {
    const cache = open({ name: workerData.name })
    cache.set('large', 'x'.repeat(workerData.length))
    cache.get('large')
    parentPort.postMessage('done')
    parentPort.on('message', () => {})
  })
`

await comeAndGo(before)
const start = ownMemory()
await comeAndGo(counted)
send(ownMemory() - start)
process.disconnect()

async function comeAndGo(threads: number): Promise<void> {
  const library = new URL('../../dist/index.js', import.meta.url).href
  for (let i = 0; i < threads; i++) {
    const worker = new Worker(program, { eval: true, workerData: { library, name, length }, execArgv: [] })
    await once(worker, 'message')
    await worker.terminate()
  }
}

/** In bytes, without the pages of files and of the segment. */
function ownMemory(): number {
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024
}
