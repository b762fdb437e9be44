// 10,000 waits for 10,000 keys in one process: what they cost while nothing is written, and how long a wake-up takes, from
// another process's `set` to the line behind the `await`. Run by `node benches/ten-thousand-waits.mjs` after `npm run build`.
import { fork } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { open, segments } from '../dist/index.js'

const WAITS = 10_000
const WAKES = 500
const IDLE = 3000
const [, file, name] = process.argv

if (name === undefined) await measure()
else setWhatIsAskedFor(open({ name, size: '64mb' }))

async function measure() {
  const own = `bench-waits-${process.pid}`
  const cache = open({ name: own, size: '64mb' })
  const child = fork(file ?? fileURLToPath(import.meta.url), [own])
  try {
    await new Promise((resolve) => child.once('message', resolve))
    console.log(`without a wait: ${await idleCost()} of a processor`)
    const start = performance.now()
    const waits = Array.from({ length: WAITS }, (_, i) => cache.waitFor(`job ${i}`))
    waits.forEach((wait) => wait.catch(() => undefined)) // closed at the end
    console.log(`${WAITS} waits begun in ${(performance.now() - start).toFixed(0)} ms`)
    await delay(500)
    console.log(`with them, idle: ${await idleCost()} of a processor`)
    const times = []
    for (let i = 0; i < WAKES; i++) {
      const job = (i * 7919) % WAITS
      child.send(job)
      const { value } = await waits[job]
      times.push(Number(process.hrtime.bigint() - value) / 1e6)
      await delay(2)
    }
    times.sort((a, b) => a - b)
    const at = (share) => `${times[Math.floor(share * (WAKES - 1))].toFixed(3)} ms`
    console.log(`${WAKES} wake-ups: median ${at(0.5)}, 90 % ${at(0.9)}, 99 % ${at(0.99)}`)
  } finally {
    child.kill()
    cache.close()
    segments.destroy(own, { force: true })
  }
}

/** Processor time of this process, all threads, while it does nothing. */
async function idleCost() {
  const before = process.cpuUsage()
  await delay(IDLE)
  const { user, system } = process.cpuUsage(before)
  return `${((user + system) / 10 / IDLE).toFixed(2)} %`
}

function setWhatIsAskedFor(cache) {
  process.on('message', (job) => cache.set(`job ${job}`, process.hrtime.bigint()))
  process.send('ready')
}
