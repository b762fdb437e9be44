/**
 * A lock between processes: the time to acquire and release it, and the time of a hand-over to another process.
 *
 * A hand-over starts just before the release in one process and ends with the first line after the wait in the other
 * process. Then the processes swap roles. The figure of a round is the p50 or the p99 of its hand-overs. The rival is
 * Redlock on Redis, which polls.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../statistics.mjs'
import { entrants } from '../tasks/lock.mjs'
import { randomFrom } from '../zipf.mjs'

/** Milliseconds before a release, so that the waiter is asleep. */
const PAUSE = { min: 2, max: 5 }
/** The number of acquisitions with a release, in a round. */
const CYCLES = 300
const shares = { 'hand-over p50': 0.5, 'hand-over p99': 0.99 }

export const title = 'Lock: taken and released, and handed over to another process that waits'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureLock(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const groups = await suite.startPairs('lock', entrants, async (group, context) => {
    const { server } = group.contender
    const socket = server && (await suite.servers.socketOf(server, group.placement, context))
    for (const index of [0, 1]) await group.ask(index, 'openLock', { name: context.name, socket })
    await measureRound(group, { count: 10, seed: 0 })
  })

  const count = Math.round(plan.messages / 2)
  const results = await suite.alternate('lock', groups, (group, round) =>
    measureRound(group, { count, seed: round + 1 }),
  )
  for (const [group, rounds] of await suite.finish(results)) {
    const record = (operation, samples) => suite.recordTimes(group, 'lock', operation, samples)
    const uncontended = rounds.map(({ cycle }) => cycle)
    record('lock, release', uncontended)
    for (const [operation, share] of Object.entries(shares)) {
      const samples = rounds.map(({ times }) => percentile(times, share))
      record(operation, samples)
    }
  }
}

/**
 * @returns {Promise<{ cycle: number, times: number[] }>} milliseconds of an uncontended acquire and release, and of
 *   each hand-over
 */
async function measureRound(group, { count, seed }) {
  const cycle = await group.ask(0, 'takeAndRelease', { count: CYCLES })
  const random = randomFrom(seed)
  const times = []
  let holder = 0
  await group.ask(holder, 'takeLock')
  for (let i = 0; i < count; i++) {
    const waiter = 1 - holder
    await group.ask(waiter, 'startWaiting')
    await sleep(PAUSE.min + random() * (PAUSE.max - PAUSE.min))
    const released = await group.ask(holder, 'releaseLock')
    times.push((await group.ask(waiter, 'gotLock')) - released)
    holder = waiter
  }
  await group.ask(holder, 'releaseLock')
  return { cycle, times }
}
