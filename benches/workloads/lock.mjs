/**
 * A lock over processes: to get it and give it back, and to get it from another process that has it.
 *
 * A hand-over is from just before the release in one process to the next line after the wait in the other; the two swap roles
 * with each. A figure of a round is the p50 or the p99 of its hand-overs. Against Redlock on Redis, which polls.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { percentile } from '../statistics.mjs'
import { entrants } from '../tasks/lock.mjs'
import { randomFrom } from '../zipf.mjs'

/** So that the waiter is asleep. */
const PAUSE = { shortest: 2, longest: 5 }
/** Of taking and releasing, in a round. */
const TURNS = 300
const shares = { 'hand-over p50': 0.5, 'hand-over p99': 0.99 }

export const title = 'Lock: taken and released, and handed over to another process that waits'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureLock(suite) {
  const { plan, progress } = suite
  progress.part(title)
  const crews = []
  for (const contender of suite.contenders.filter(({ id }) => entrants.includes(id))) {
    for (const placement of suite.placements) {
      const context = { name: suite.newName(), kind: 'string', bytes: 0 }
      const crew = await suite.start('lock', { contender, placement, count: 2, context }, async (crew) => {
        const { server } = contender
        const socket = server && (await suite.servers.socketOf(server, placement, context))
        for (const place of [0, 1]) await crew.ask(place, 'openLock', { name: context.name, socket })
        await measureRound(crew, { count: 10, seed: 0 })
      })
      if (crew !== undefined) crews.push(crew)
    }
  }

  const count = Math.round(plan.rings / 2)
  const results = await suite.alternate('lock', crews, (crew, round) => measureRound(crew, { count, seed: round + 1 }))
  for (const [{ contender, placement }, rounds] of await suite.finish(results)) {
    const record = (operation, samples) =>
      suite.record({
        workload: 'lock',
        operation,
        contender: contender.id,
        placement,
        processes: 2,
        unit: 'µs',
        better: 'lower',
        samples,
      })
    const alone = rounds.map(({ turn }) => turn * 1000)
    record('lock, release', alone)
    for (const [operation, share] of Object.entries(shares)) {
      const samples = rounds.map(({ times }) => percentile(times, share) * 1000)
      record(operation, samples)
    }
  }
}

/** @returns {Promise<{ turn: number, times: number[] }>} milliseconds, of a turn with nobody waiting and of each hand-over */
async function measureRound(crew, { count, seed }) {
  const turn = await crew.ask(0, 'takeAndRelease', { count: TURNS })
  const random = randomFrom(seed)
  const times = []
  let holder = 0
  await crew.ask(holder, 'takeLock')
  for (let i = 0; i < count; i++) {
    const waiter = 1 - holder
    await crew.ask(waiter, 'startWaiting')
    await sleep(PAUSE.shortest + random() * (PAUSE.longest - PAUSE.shortest))
    const released = await crew.ask(holder, 'releaseLock')
    times.push((await crew.ask(waiter, 'gotLock')) - released)
    holder = waiter
  }
  await crew.ask(holder, 'releaseLock')
  return { turn, times }
}
