/**
 * A player: a process, or a worker thread of one. It runs seeded random operations of the whole API until the round
 * ends or it is killed, and judges every result.
 *
 * Caution: a player may be killed, or suspended for seconds, between any two lines. So it informs other players
 * through the ledger only, in this order: begun, the operation, acknowledged.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Keys } from './keys.mjs'
import { Loads } from './loads.mjs'
import { Permits } from './permits.mjs'
import { Failure, Scene } from './scene.mjs'
import { Streams } from './streams.mjs'
import { Tallies } from './tallies.mjs'
import { Thread } from './thread.mjs'
import { Views } from './views.mjs'

const STEPS_PER_SLICE = 15
const MAX_ACTS = 10
/** Milliseconds between two reports to the parent. */
const REPORT_EVERY = 500
/** Milliseconds within which pending acts must end after the round. */
const MAX_LAST_ACTS = 40_000

const input = workerData ?? JSON.parse(process.argv[2])
const report = parentPort === null ? (message) => process.send?.(message) : (message) => parentPort.postMessage(message)
let isOver = false
const onMessage = (message) => {
  if (message === 'stop') isOver = true
}
if (parentPort === null) {
  process.on('message', onMessage)
  // The parent has ended, and the round with it.
  process.on('disconnect', () => process.exit(1))
} else parentPort.on('message', onMessage)

const scene = new Scene(input)
process.on('uncaughtException', (error) => {
  // A failure was written to its file when it was created.
  if (!(error instanceof Failure)) scene.write(`an uncaught ${error.stack}`)
  process.exit(1)
})
const threads = parentPort === null ? startThreads() : []
report('begun')
await play()
for (const thread of threads) thread.stop()
await Promise.all(threads.map((thread) => thread.ended))
scene.close()
report(scene.takeReport())
process.exit(0)

async function play() {
  const { random } = scene
  const parts = [Keys, Tallies, Permits, Streams, Loads, Views].map((Part) => new Part(scene))
  const steps = parts.flatMap((part) => part.steps).filter(({ group }) => scene.has(group))
  const acts = parts.flatMap((part) => part.acts).filter(({ group }) => scene.has(group))
  let reported = performance.now()
  while (!isOver) {
    scene.beat()
    for (let i = 0; i < STEPS_PER_SLICE; i++) scene.attempt(random.pickWeighted(steps).run)
    if (acts.length > 0 && scene.acts.size < MAX_ACTS && random.chance(0.8)) scene.act(random.pickWeighted(acts))
    if (scene.has('reopen') && random.chance(0.004)) {
      scene.reopen()
      for (const part of parts) part.opened()
    }
    if (threads.length > 0 && scene.suffers('terminations') && random.chance(0.01)) terminate(random.pick(threads))
    if (performance.now() - reported > REPORT_EVERY) {
      report(scene.takeReport())
      reported = performance.now()
    }
    await nextTurn()
  }
  const late = setTimeout(() => scene.fail(`${[...scene.acts].join()} did not come to an end`), MAX_LAST_ACTS)
  while (scene.acts.size > 0) {
    scene.beat()
    await delay(5)
  }
  clearTimeout(late)
}

function terminate(thread) {
  scene.count('terminations')
  thread.terminate()
}

/** The threads of this process. A thread that was terminated is started again. */
function startThreads() {
  return Array.from({ length: scene.plan.threads }, (_, i) => {
    const start = (lives) => {
      const workerData = { ...input, slot: input.slot + 1 + i, life: input.life + lives / 1000 }
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData })
      worker.on('message', report)
      worker.on('error', (error) => scene.fail(`a thread ended with ${error.stack}`))
      return worker
    }
    return new Thread(start, () => isOver)
  })
}
