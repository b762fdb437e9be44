/**
 * Calls per second of one process: `prepare` once, `warm` once for each operation, then `run` any number of times.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { makeRunner, now } from '../measure.mjs'
import { makeSchedule } from '../schedule.mjs'
import { kinds } from '../values.mjs'

/**
 * @param {{ kind: string, keys: number, operations: string[], seed: number, offset?: number }} args `offset`: the first call of this
 *   process in the schedule, so that several processes do not make the same calls at the same time.
 */
export function prepare(memory, { kind, keys, operations, seed, offset = 0 }) {
  const { store, contender } = memory
  memory.runners = Object.fromEntries(
    operations.map((operation) => {
      const schedule = makeSchedule({ kind, keys, operation, seed })
      const runner = makeRunner({ store, kind: kinds[kind], schedule, operation, inFlight: contender.inFlight })
      runner.moveTo(offset)
      return [operation, runner]
    }),
  )
}

/** Runs until V8 has compiled the loop. */
export async function warm({ runners }, { operation, duration }) {
  await runners[operation].run({ duration })
}

/**
 * @param {{ operation: string, duration: number, startAt?: number }} args `startAt`: the common start of several processes.
 * @returns {Promise<{ calls: number, elapsed: number }>}
 */
export async function run({ runners }, { operation, duration, startAt }) {
  if (startAt !== undefined && startAt - now() > 3) await sleep(startAt - now() - 2)
  return runners[operation].run({ duration, startAt })
}
