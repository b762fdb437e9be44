/** Events over all processes and threads that have the segment open: a flag that callers can wait for. */
import { givenKey, wholeKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { accepted } from '../arguments/option-names.ts'
import { native } from '../engine/engine.ts'
import { Keyspace } from '../native/layout.ts'
import type { Gates } from './gates.ts'
import { WAIT_NAMES, resolveAcquire } from './locks.ts'
import type { AcquireOptions } from './locks.ts'

/**
 * A flag that every process can set, clear and wait for, such as Python's `Event`. It is not an entry: no eviction,
 * expiry or `clear` of the cache changes it, and it outlives its processes.
 */
export interface SharedEvent {
  readonly name: Key
  /** Whether it is set. Takes no lock. */
  readonly isSet: boolean
  /** Living callers that wait for it. Takes no lock. */
  readonly waiting: number
  /**
   * Sets it: all waiting callers go on, and later ones do not wait. Returns false if it was set already.
   *
   * @throws {CacheError} `ERR_NO_SPACE`, `ERR_BUSY`.
   * @example
   * cache.event('warm').set()
   */
  set(): boolean
  /**
   * Clears it: later callers wait again. Returns false if it was not set. A caller that was waiting at `set` goes on
   * even if `clear` follows at once.
   *
   * @throws {CacheError} `ERR_NO_SPACE`, `ERR_BUSY`.
   */
  clear(): boolean
  /**
   * Resolves when it is set, at once if it is.
   *
   * @param options `timeout`: default none; `signal`; `ref`: keep the process alive while waiting (default true).
   * @throws {CacheError} Rejects with `ERR_TIMEOUT`; with the reason of the signal; with `ERR_CLOSED` when the cache is
   * closed; with `ERR_NO_SPACE` if too many wait; with `ERR_BUSY`, `ERR_INVALID_ARGUMENT`.
   * @example
   * await cache.event('warm').wait({ timeout: '30s' })
   */
  wait(options?: AcquireOptions): Promise<void>
}

const WAIT = accepted<AcquireOptions>('wait', WAIT_NAMES)

/** Throws `ERR_INVALID_ARGUMENT`, `ERR_KEY_TOO_LONG`. */
export function eventOf(gates: Gates, name: Key): SharedEvent {
  const gate = { keyspace: Keyspace.Events, key: wholeKey(name), parties: 0 }
  return {
    name: givenKey(gate.key),
    get isSet() {
      return gates.state(gate).isSet
    },
    get waiting() {
      return gates.state(gate).waiting
    },
    set: () => gates.write(gate, (id) => native.eventSet(id, gate.key, true)),
    clear: () => gates.write(gate, (id) => native.eventSet(id, gate.key, false)),
    wait: async (options) => void (await gates.wait(gate, resolveAcquire(options, WAIT).limits)),
  }
}
