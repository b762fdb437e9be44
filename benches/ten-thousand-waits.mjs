/**
 * Waits for many keys in one process, 10,000 to 60,000 of them: their start, their cost while no process writes, the time
 * of a wake-up from the `set` or `release` in another process to the line after the `await`, and their end. First
 * `waitFor`, then `lock` of keys that another process holds.
 *
 * The start and the end are in processor time of the whole process, which is the same on a busy machine.
 *
 * Usage: `node benches/ten-thousand-waits.mjs [counts]`, after `npm run build`.
 */
import { fork } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { percentile } from './statistics.mjs'

const COUNTS = [10_000, 20_000, 60_000]
const WAKES = 200
const IDLE_MS = 2000
const { CACHE_MACHINE_DIST = '../dist/index.js' } = process.env
const { open, segments } = await import(CACHE_MACHINE_DIST)
const [, , role, name] = process.argv

if (role === 'other') serve(open({ name, size: '256mb' }))
else await measure(role === undefined ? COUNTS : role.split(',').map(Number))

async function measure(counts) {
  const own = `bench-waits-${process.pid}`
  const cache = open({ name: own, size: '256mb' })
  const child = fork(fileURLToPath(import.meta.url), ['other', own])
  const ask = (request) => {
    const answer = new Promise((resolve) => child.once('message', resolve))
    child.send(request)
    return answer
  }
  try {
    await new Promise((resolve) => child.once('message', resolve))
    console.log(`idle without waits: ${await idleCost()} of a processor`)
    for (const count of counts) {
      await report(`${count} waitFor`, own, count, ask, {
        begin: (handle, i) => handle.waitFor(`job ${count} ${i}`),
        wake: (i) => ask({ set: `job ${count} ${i}` }),
      })
      await ask({ hold: count })
      await report(`${count} lock`, own, count, ask, {
        begin: (handle, i) => handle.lock(`lock ${count} ${i}`),
        wake: (i) => ask({ release: i }),
      })
      await ask({ forget: true })
    }
  } finally {
    child.kill()
    cache.close()
    segments.destroy(own, { force: true })
  }
}

async function report(title, name, count, ask, { begin, wake }) {
  const handle = open({ name, size: '256mb' })
  let waits
  const started = await cost(() => (waits = Array.from({ length: count }, (_, i) => begin(handle, i))))
  waits.forEach((wait) => wait.catch(() => undefined)) // the close rejects the rest
  await delay(500)
  const idle = await idleCost()
  const times = []
  for (let i = 0; i < WAKES; i++) {
    const number = (i * 7919) % count
    const sent = wake(number)
    await waits[number]
    const end = process.hrtime.bigint()
    times.push(Number(end - BigInt(await sent)) / 1e6)
    await delay(2)
  }
  const ended = await cost(async () => {
    handle.close()
    await Promise.allSettled(waits)
  })
  const at = (share) => `${percentile(times, share).toFixed(2)} ms`
  console.log(
    `${title}: started in ${started}, idle ${idle} of a processor, ` +
      `wake-up median ${at(0.5)}, 99 % ${at(0.99)}, ended in ${ended}`,
  )
}

/** Processor time and wall-clock time of a part. */
async function cost(run) {
  const [before, start] = [process.cpuUsage(), performance.now()]
  await run()
  const { user, system } = process.cpuUsage(before)
  return `${((user + system) / 1000).toFixed(0)} ms (wall clock ${(performance.now() - start).toFixed(0)})`
}

/** The processor time of all threads of this process while it is idle. */
async function idleCost() {
  const before = process.cpuUsage()
  await delay(IDLE_MS)
  const { user, system } = process.cpuUsage(before)
  return `${((user + system) / 10 / IDLE_MS).toFixed(1)} %`
}

function serve(cache) {
  let locks = []
  process.on('message', ({ set, hold, release, forget }) => {
    const now = String(process.hrtime.bigint())
    if (set !== undefined) cache.set(set, 1)
    if (hold !== undefined) locks = Array.from({ length: hold }, (_, i) => cache.tryLock(`lock ${hold} ${i}`))
    if (release !== undefined) locks[release].release()
    if (forget !== undefined) locks.forEach((lock) => lock.release())
    process.send(now)
  })
  process.send('ready')
}
