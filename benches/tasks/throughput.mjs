/**
 * Calls per second of one process: `prepare` once, `warm` each operation, then `run` as often as asked.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { makeRunner, now } from '../measure.mjs'
import { makeSchedule } from '../schedule.mjs'
import { kinds } from '../values.mjs'

/**
 * @param {{ kind: string, keys: number, operations: string[], seed: number, place?: number }} args `place`: where on the ring of
 *   calls this process starts, so that several do not walk in step.
 */
export function prepare(memory, { kind, keys, operations, seed, place = 0 }) {
  const { store, contender } = memory
  memory.runners = Object.fromEntries(
    operations.map((operation) => {
      const schedule = makeSchedule({ kind, keys, operation, seed })
      const runner = makeRunner({ store, kind: kinds[kind], schedule, operation, inFlight: contender.inFlight })
      runner.moveTo(place)
      return [operation, runner]
    }),
  )
}

/** Until V8 has compiled what it is going to. */
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
