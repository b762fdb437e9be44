/**
 * One who takes part: a process, or a worker thread of one. Runs a seeded program over the whole interface until it is told to
 * stop, or until it is killed, and judges whatever it sees.
 *
 * The thing to get wrong: it may die, or be stopped for seconds, between any two lines. Whatever another one is to know of
 * it goes through the ledger, in the order: begun, the operation, acknowledged.
 */
import { parentPort, Worker, workerData } from 'node:worker_threads'
import { setImmediate as turnOfTheLoop, setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Feeds } from './feeds.mjs'
import { Keys } from './keys.mjs'
import { Loads } from './loads.mjs'
import { Failure, Scene } from './scene.mjs'
import { Tallies } from './tallies.mjs'
import { Thread } from './thread.mjs'
import { Turns } from './turns.mjs'
import { Views } from './views.mjs'

const STEPS_PER_SLICE = 15
const MOST_ACTS = 10
/** Told to the one who started us at least so often. */
const TELL_EVERY = 500
/** How long what is under way may take when the round is over. */
const LAST_ACTS = 40_000

const input = workerData ?? JSON.parse(process.argv[2])
const tell = parentPort === null ? (message) => process.send?.(message) : (message) => parentPort.postMessage(message)
let isOver = false
const onMessage = (message) => {
  if (message === 'stop') isOver = true
}
if (parentPort === null) {
  process.on('message', onMessage)
  // Without the one who counts there is nothing to do.
  process.on('disconnect', () => process.exit(1))
} else parentPort.on('message', onMessage)

const scene = new Scene(input)
process.on('uncaughtException', (error) => {
  // A failure was written down when it was made.
  if (!(error instanceof Failure)) scene.write(`an uncaught ${error.stack}`)
  process.exit(1)
})
const threads = parentPort === null ? startThreads() : []
tell('begun')
await play()
for (const thread of threads) thread.stop()
await Promise.all(threads.map((thread) => thread.ended))
scene.close()
tell(scene.takeReport())
process.exit(0)

async function play() {
  const { random } = scene
  const parts = [Keys, Tallies, Turns, Feeds, Loads, Views].map((Part) => new Part(scene))
  const steps = parts.flatMap((part) => part.steps).filter(({ group }) => scene.has(group))
  const acts = parts.flatMap((part) => part.acts ?? []).filter(({ group }) => scene.has(group))
  let told = performance.now()
  while (!isOver) {
    scene.beat()
    for (let i = 0; i < STEPS_PER_SLICE; i++) scene.attempt(random.pickWeighted(steps).run)
    if (acts.length > 0 && scene.acts.size < MOST_ACTS && random.chance(0.8)) scene.act(random.pickWeighted(acts))
    if (scene.has('reopen') && random.chance(0.004)) {
      scene.reopen()
      for (const part of parts) part.opened?.()
    }
    if (threads.length > 0 && scene.suffers('terminations') && random.chance(0.01)) terminate(random.pick(threads))
    if (performance.now() - told > TELL_EVERY) {
      tell(scene.takeReport())
      told = performance.now()
    }
    await turnOfTheLoop()
  }
  const late = setTimeout(() => scene.fail(`${[...scene.acts].join()} did not come to an end`), LAST_ACTS)
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

/** The threads of this process; each is started again when it was terminated. */
function startThreads() {
  return Array.from({ length: scene.plan.threads }, (_, i) => {
    const start = (lives) => {
      const workerData = { ...input, slot: input.slot + 1 + i, life: input.life + lives / 1000 }
      const worker = new Worker(fileURLToPath(import.meta.url), { workerData })
      worker.on('message', tell)
      worker.on('error', (error) => scene.fail(`a thread ended with ${error.stack}`))
      return worker
    }
    return new Thread(start, () => isOver)
  })
}
