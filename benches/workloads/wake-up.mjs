/**
 * How long a process that sleeps takes to hear of what another one did: `waitFor`, Redis pub/sub, a relay by the primary.
 *
 * From just before the ringer's call to the listener's next line. A figure of a round is the p50 or the p99 of its rings.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../statistics.mjs'

const PAUSE = { shortest: 2, longest: 5 }
/** For the last message to arrive. */
const LONGEST_LAST_MS = 10_000
const POLL_MS = 10
const shares = { p50: 0.5, p99: 0.99 }

const entrants = ['cache-machine-off', 'ioredis', 'node-redis', 'process-send-json', 'process-send-advanced']

export const title = 'Wake-up: from one process to another that waits'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureWakeUp(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const count = plan.rings
  const crews = []
  for (const contender of suite.contenders.filter(({ id }) => entrants.includes(id))) {
    for (const placement of suite.placements) {
      const context = { name: suite.newName(), kind: 'string', bytes: 0 }
      const crew = await suite.start('wake-up', { contender, placement, count: 2, context }, async (crew) => {
        await crew.ask(0, 'listen')
        await ringOnce(crew, { count: 20, seed: 0 })
      })
      if (crew !== undefined) crews.push(crew)
    }
  }

  const results = await suite.alternate('wake-up', crews, (crew, round) => ringOnce(crew, { count, seed: round + 1 }))
  for (const [{ contender, placement }, rounds] of await suite.finish(results)) {
    for (const [operation, share] of Object.entries(shares)) {
      suite.record({
        workload: 'wake-up',
        operation,
        contender: contender.id,
        placement,
        processes: 2,
        unit: 'µs',
        better: 'lower',
        samples: rounds.map((times) => percentile(times, share) * 1000),
      })
    }
  }
}

/** @returns {Promise<number[]>} milliseconds of each ring */
async function ringOnce(crew, { count, seed }) {
  const sent = await crew.ask(1, 'ring', { count, seed, ...PAUSE })
  const heard = []
  for (const end = performance.now() + LONGEST_LAST_MS; heard.at(-1)?.sent !== sent.at(-1);) {
    if (performance.now() > end)
      throw new Error(`of ${count} rings the last was not heard, and ${heard.length} others were`)
    await sleep(POLL_MS)
    heard.push(...(await crew.ask(0, 'heard')))
  }
  return delaysOf(sent, heard)
}

/**
 * Who waits for the newest version of a key hears of two close rings as one: the first is heard with the second.
 *
 * @param {number[]} sent
 * @param {{ sent: number, at: number }[]} heard in the order of their sending, the last included
 */
export function delaysOf(sent, heard) {
  let next = 0
  return sent.map((time) => {
    while (heard[next].sent < time) next++
    return heard[next].at - time
  })
}
