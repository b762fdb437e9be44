/**
 * The time until a sleeping process receives a message of another process: `waitFor`, Redis pub/sub, forwarding by the
 * primary.
 *
 * The time starts just before the sender's call and ends with the listener's next line. The figure of a round is the
 * p50 or the p99 of its messages.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../statistics.mjs'

/** Milliseconds between two messages, so that the listener is asleep. */
const PAUSE = { min: 2, max: 5 }
/** The maximum time until the last message arrives. */
const MAX_LAST_MS = 10_000
const POLL_MS = 10
const shares = { p50: 0.5, p99: 0.99 }

const entrants = ['cache-machine-off', 'ioredis', 'node-redis', 'process-send-json', 'process-send-advanced']

export const title = 'Wake-up: from one process to another that waits'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureWakeUp(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const count = plan.messages
  const groups = await suite.startPairs('wake-up', entrants, async (group) => {
    await group.ask(0, 'listen')
    await measureRound(group, { count: 20, seed: 0 })
  })

  const results = await suite.alternate('wake-up', groups, (group, round) =>
    measureRound(group, { count, seed: round + 1 }),
  )
  for (const [group, rounds] of await suite.finish(results)) {
    for (const [operation, share] of Object.entries(shares)) {
      const samples = rounds.map((times) => percentile(times, share))
      suite.recordTimes(group, 'wake-up', operation, samples)
    }
  }
}

/** @returns {Promise<number[]>} milliseconds of each message */
async function measureRound(group, { count, seed }) {
  const sent = await group.ask(1, 'notify', { count, seed, ...PAUSE })
  const received = []
  for (const end = performance.now() + MAX_LAST_MS; received.at(-1)?.sent !== sent.at(-1);) {
    if (performance.now() > end)
      throw new Error(`the last of ${count} messages did not arrive, but ${received.length} others did`)
    await sleep(POLL_MS)
    received.push(...(await group.ask(0, 'received')))
  }
  return delaysOf(sent, received)
}

/**
 * The delay of each message. A listener that waits for the newest version of a key receives only the second of two
 * close messages; the first then counts as received with the second.
 *
 * @param {number[]} sent
 * @param {{ sent: number, at: number }[]} received in the order of sending, including the last
 */
export function delaysOf(sent, received) {
  let next = 0
  return sent.map((time) => {
    while (received[next].sent < time) next++
    return received[next].at - time
  })
}
