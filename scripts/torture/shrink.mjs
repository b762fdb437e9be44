/**
 * Makes a failing round smaller: plays it again without this and without that, as long as it still fails.
 *
 * What is random in several processes at once does not come again as it was, so a round that passes proves nothing; it is
 * played twice before it counts as passed.
 */
import { readTraces } from './trace.mjs'
import { operations } from './scene.mjs'

/** Time for all tries. */
const BUDGET = 120_000
const LONGEST = 30
const PLAYS = 2

/** Returns the smallest failing round that was found; `play` plays a plan, and the caller disposes of what is returned. */
export async function shrink(failed, play, isInterrupted) {
  const end = performance.now() + BUDGET
  const seconds = Math.min(failed.plan.seconds, Math.ceil(failed.seconds * 1.5) + 2, LONGEST)
  let smallest = failed
  let isSmaller = true
  while (isSmaller) {
    isSmaller = false
    for (const plan of smallerThan(smallest.plan)) {
      if (performance.now() > end || isInterrupted()) return smallest
      const round = await stillFails({ ...plan, seconds }, play, () => performance.now() > end || isInterrupted())
      if (round === undefined) continue
      smallest.dispose()
      smallest = round
      isSmaller = true
      break
    }
  }
  return smallest
}

async function stillFails(plan, play, isOver) {
  for (let i = 0; i < PLAYS && !isOver(); i++) {
    const round = await play(plan)
    if (round.failures.length > 0) return round
    round.dispose()
  }
  return undefined
}

/** Every plan that has something less. */
function smallerThan(plan) {
  const without = (list, item) => list.filter((other) => other !== item)
  const less = [
    ...(plan.threads > 0 ? [{ threads: 0 }] : []),
    ...plan.faults.map((fault) => ({ faults: without(plan.faults, fault) })),
    ...(plan.groups.length > 1 ? plan.groups.map((group) => ({ groups: without(plan.groups, group) })) : []),
    ...(plan.spaces.length > 1 ? plan.spaces.map((space) => ({ spaces: without(plan.spaces, space) })) : []),
    ...(plan.processes > 1 ? [{ processes: plan.processes - 1 }] : []),
    ...(plan.keysPerSlot > 5 ? [{ keysPerSlot: 5 }] : []),
    ...(plan.manualClock ? [{ manualClock: false }] : []),
  ]
  return less.map((change) => ({ ...plan, ...change }))
}

const TOLD = 40

/** What led to the failure, as lines: the last operations on its key, or else of its place. */
export function historyOf({ failures, folder, layout }) {
  const [failure] = failures
  const about = failure.key >= 0 ? (entry) => entry.key === failure.key : (entry) => entry.slot === failure.slot
  const isWide = failure.key < 0 && failure.slot === undefined
  const entries = readTraces(folder, layout.slots, operations, isWide ? () => true : about)
  return entries.slice(-TOLD).map(({ slot, name, key, number, begun, ended, result }) => {
    const when = `${((begun - failure.at) / 1000).toFixed(6)} s`.padStart(14)
    const what = `${name} ${key >= 0 ? layout.keys[key].name : ''} ${number}`.replaceAll(/ +/g, ' ')
    const came = ended === 0 ? 'has no end' : `${result} after ${((ended - begun) * 1000).toFixed(0)} µs`
    return `${when}  place ${slot}: ${what}: ${came}`
  })
}
