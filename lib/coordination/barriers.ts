/** Barriers over all processes and threads that have the segment open: callers wait until so many have come. */
import { givenKey, wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { accepted } from '../arguments/option-names.ts'
import { invalid } from '../errors.ts'
import { Keyspace } from '../native/layout.ts'
import type { Gates } from './gates.ts'
import { WAIT_NAMES, resolveAcquire } from './locks.ts'
import type { AcquireOptions } from './locks.ts'

/** A waiter takes 32 bytes of a record that is rewritten with each change. */
const MAX_PARTIES = 1000

/**
 * Holds its callers back until `parties` of them wait, then lets all of them go on, and begins again. A caller that
 * gives up (`timeout`, `signal`) or dies leaves the barrier; the others wait for a replacement.
 */
export interface Barrier {
  readonly name: Key
  readonly parties: number
  /** Living callers that wait. Takes no lock. */
  readonly waiting: number
  /**
   * Resolves when as many callers wait as it has parties: with true for the last one, with false for all others. So
   * exactly one of them can do what is to be done once per round.
   *
   * @param options `timeout`: default none; `signal`; `ref`: keep the process alive while waiting (default true).
   * @throws {CacheError} Rejects with `ERR_TIMEOUT`; with the reason of the signal; with `ERR_CLOSED` when the cache is
   * closed; with `ERR_NO_SPACE` if too many wait; with `ERR_BUSY`, `ERR_INVALID_ARGUMENT`.
   * @example
   * const isLast = await cache.barrier('loaded', 4).wait({ timeout: '1m' })
   * if (isLast) console.log('all four workers are ready')
   */
  wait(options?: AcquireOptions): Promise<boolean>
}

const WAIT = accepted<AcquireOptions>('wait', WAIT_NAMES)

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`. */
export function barrierOf(gates: Gates, name: Key, parties: number): Barrier {
  if (!Number.isInteger(parties) || parties < 1 || parties > MAX_PARTIES) {
    throw invalid(`parties must be a whole number from 1 to ${MAX_PARTIES}`, parties)
  }
  const gate = { keyspace: Keyspace.Barriers, key: wholeKey(name), parties }
  return {
    name: givenKey(gate.key),
    parties,
    get waiting() {
      return gates.state(gate).waiting
    },
    wait: async (options) => gates.wait(gate, resolveAcquire(options, WAIT).limits),
  }
}
