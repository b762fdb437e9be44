/**
 * The timed loops. A process runs the loops of one contender only, so that V8 compiles them for that contender.
 *
 * A loop runs in batches and reads the clock about every half millisecond, so that the reading does not slow calls of
 * nanoseconds. Times are milliseconds of a clock that is the same in all processes of the host.
 */
import { MASK, expectedSum } from './schedule.mjs'

const BATCH_MS = 0.5

/** Milliseconds; all processes of the host read the same clock. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}

/**
 * Makes a runner that counts the calls of a store in a given time, by the schedule of one operation.
 *
 * @param {{ store: import('./contenders/index.mjs').Store, kind: import('./values.mjs').Kind, schedule: import('./schedule.mjs').Schedule,
 *   operation: string, inFlight: number }} options `inFlight`: 0 for a synchronous store.
 */
export function makeRunner({ store, kind, schedule, operation, inFlight }) {
  const loop = inFlight === 0 ? syncLoop(store, kind, schedule, operation) : asyncLoop(store, kind, schedule, operation)
  const run = inFlight === 0 ? runBatches(loop) : runInFlight(loop, inFlight)
  let position = 0

  return {
    /** Sets the position in the schedule at which the next run starts. */
    moveTo(index) {
      position = index
    },
    /**
     * Runs from `startAt` for `duration` milliseconds.
     *
     * @returns {Promise<{ calls: number, elapsed: number }>}
     * @throws if a read missed or returned a wrong value.
     */
    async run({ startAt = now(), duration }) {
      waitUntil(startAt)
      const { calls, elapsed, sum } = await run(position, startAt, duration)
      const expected = expectedSum(schedule, position, calls)
      if (sum !== expected) throw new Error(`wrong values: the reads add up to ${sum}, not ${expected}`)
      position += calls
      return { calls, elapsed }
    },
  }
}

/** The loop returns the sum of `use` over all values that it read. */
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

/** The same with asynchronous calls, one after the other, until `nextPosition` returns -1. */
function asyncLoop({ get, set }, { use }, { keys, values, writes }, operation) {
  if (operation === 'get') {
    return async (nextPosition) => {
      let sum = 0
      for (let i = nextPosition(); i >= 0; i = nextPosition()) sum += use(await get(keys[i & MASK]))
      return sum
    }
  }
  if (operation === 'set') {
    return async (nextPosition) => {
      for (let i = nextPosition(); i >= 0; i = nextPosition()) await set(keys[i & MASK], values[i & MASK])
      return 0
    }
  }
  return async (nextPosition) => {
    let sum = 0
    for (let i = nextPosition(); i >= 0; i = nextPosition()) {
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
      // The batch grows by a factor of 2 only, because a batch that runs past the end cannot be interrupted.
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
    // At least one call, also if the process loses its processor until the end.
    const nextPosition = () => (next === from || now() < end ? next++ : -1)
    const sums = await Promise.all(Array.from({ length: inFlight }, () => loop(nextPosition)))
    return { calls: next - from, sum: sums.reduce((a, b) => a + b), elapsed: now() - start }
  }
}

/** Waits in a busy loop, because a sleep would end too late. */
export function waitUntil(time) {
  while (now() < time);
}
