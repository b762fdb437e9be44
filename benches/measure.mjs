/**
 * The timed loops. One process runs those of one contender only, so that V8 compiles them for it alone.
 *
 * A loop is timed in batches: the clock is read about every half millisecond, which a call of nanoseconds does not notice.
 * Times are milliseconds of the clock that all processes of the host share.
 */
import { MASK, expectedSum } from './schedule.mjs'

const BATCH_MS = 0.5

/** Milliseconds; the same instant gives the same number in every process. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * Calls per second of a store, by one operation's schedule.
 *
 * @param {{ store: import('./contenders/index.mjs').Store, kind: import('./values.mjs').Kind, schedule: import('./schedule.mjs').Schedule,
 *   operation: string, inFlight: number }} options `inFlight`: 0 for a synchronous store.
 */
export function makeRunner({ store, kind, schedule, operation, inFlight }) {
  const loop = inFlight === 0 ? syncLoop(store, kind, schedule, operation) : asyncLoop(store, kind, schedule, operation)
  const run = inFlight === 0 ? runBatches(loop) : runInFlight(loop, inFlight)
  let position = 0

  return {
    /** Where the next run starts on the ring; processes start at different places. */
    moveTo(place) {
      position = place
    },
    /**
     * Runs from `startAt` for `duration`.
     *
     * @returns {Promise<{ calls: number, elapsed: number }>}
     * @throws if a read was a miss or gave a wrong value.
     */
    async run({ startAt = now(), duration }) {
      waitUntil(startAt)
      const { calls, elapsed, sum } = await run(position, startAt, duration)
      const expected = expectedSum(schedule, position, calls)
      if (sum !== expected) throw new Error(`wrong values: what was read adds up to ${sum}, not ${expected}`)
      position += calls
      return { calls, elapsed }
    },
  }
}

/** Returns what the values that it read add up to. */
function syncLoop({ get, set }, { use }, { keys, values, writes }, operation) {
  if (operation === 'get') {
    return (from, calls) => {
      let sum = 0
      for (let i = from; i < from + calls; i++) sum += use(get(keys[i & MASK]))
      return sum
    }
  }
  if (operation === 'set') {
    return (from, calls) => {
      for (let i = from; i < from + calls; i++) set(keys[i & MASK], values[i & MASK])
      return 0
    }
  }
  return (from, calls) => {
    let sum = 0
    for (let i = from; i < from + calls; i++) {
      if (writes[i & MASK] === 1) set(keys[i & MASK], values[i & MASK])
      else sum += use(get(keys[i & MASK]))
    }
    return sum
  }
}

/** The same, one call after the other, as long as `claim` gives a position. */
function asyncLoop({ get, set }, { use }, { keys, values, writes }, operation) {
  if (operation === 'get') {
    return async (claim) => {
      let sum = 0
      for (let i = claim(); i >= 0; i = claim()) sum += use(await get(keys[i & MASK]))
      return sum
    }
  }
  if (operation === 'set') {
    return async (claim) => {
      for (let i = claim(); i >= 0; i = claim()) await set(keys[i & MASK], values[i & MASK])
      return 0
    }
  }
  return async (claim) => {
    let sum = 0
    for (let i = claim(); i >= 0; i = claim()) {
      if (writes[i & MASK] === 1) await set(keys[i & MASK], values[i & MASK])
      else sum += use(await get(keys[i & MASK]))
    }
    return sum
  }
}

function runBatches(loop) {
  let batch = 1
  return (from, start, duration) => {
    const end = start + duration
    let calls = 0
    let sum = 0
    let last = start
    for (let time = start; time < end; last = time) {
      sum += loop(from + calls, batch)
      calls += batch
      time = now()
      // A doubling at a time, and never more than the time limit allows: a batch can't be broken off.
      if (time - last < BATCH_MS / 2) batch *= 2
      else if (time - last > BATCH_MS * 2 && batch > 1) batch >>= 1
    }
    return { calls, sum, elapsed: last - start }
  }
}

function runInFlight(loop, inFlight) {
  return async (from, start, duration) => {
    const end = start + duration
    let next = from
    const claim = () => (now() < end ? next++ : -1)
    const sums = await Promise.all(Array.from({ length: inFlight }, () => loop(claim)))
    return { calls: next - from, sum: sums.reduce((a, b) => a + b), elapsed: now() - start }
  }
}

/** Busy: a sleep would end too late. The last stretch of a wait that is mostly slept. */
export function waitUntil(time) {
  while (now() < time);
}
