/**
 * Makes a failing round smaller: removes one element of its plan at a time, as long as the round still fails.
 *
 * The same plan does not repeat the same interleaving, so one passed round proves little. A plan is played twice
 * before it counts as passed.
 */
import { readTraces } from './trace.mjs'
import { operations } from './scene.mjs'

/** Milliseconds for all tries. */
const BUDGET = 120_000
/** Seconds of a round. */
const MAX_SECONDS = 30
const PLAYS = 2

/** Resolves to the smallest failing round that was found. `play` plays a plan. The caller disposes of the result. */
export async function shrink(failed, play, isInterrupted) {
  const end = performance.now() + BUDGET
  const seconds = Math.min(failed.plan.seconds, Math.ceil(failed.seconds * 1.5) + 2, MAX_SECONDS)
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

/** All plans with one element less. */
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

/** Lines of the history. */
const MAX_LINES = 40

/** The operations before the failure, as lines: the last ones on its key, or else of its place. */
export function historyOf({ failures, folder, layout }) {
  const [failure] = failures
  const about = failure.key >= 0 ? (entry) => entry.key === failure.key : (entry) => entry.slot === failure.slot
  const isWide = failure.key < 0 && failure.slot === undefined
  const entries = readTraces(folder, layout.slots, operations, isWide ? () => true : about)
  return entries.slice(-MAX_LINES).map(({ slot, name, key, number, begun, ended, result }) => {
    const when = `${((begun - failure.at) / 1000).toFixed(6)} s`.padStart(14)
    const what = `${name} ${key >= 0 ? layout.keys[key].name : ''} ${number}`.replaceAll(/ +/g, ' ')
    const outcome = ended === 0 ? 'has no end' : `${result} after ${((ended - begun) * 1000).toFixed(0)} µs`
    return `${when}  place ${slot}: ${what}: ${outcome}`
  })
}
