/**
 * Writes into every shard again and again, and reports a shard that stays busy. A running holder releases its lock,
 * and another process takes the lock of a dead holder. A shard may be busy for a moment.
 *
 * Caution: the round itself may have suspended the holder of a lock. Then the shard rightly stays busy.
 */
import { now } from './ledger.mjs'

/** So many that each shard has at least one. */
const keys = Array.from({ length: 32 }, (_, i) => `probe-${i}`)
/** Milliseconds: longer than an overloaded machine keeps a runnable holder waiting. */
const PATIENCE = 5_000

export class Probe {
  #cache
  /** By key: the time since which it is busy. */
  #busy = new Map()
  /** Keys that must be written before all shards are known to be usable. */
  #open = new Set()

  /** `cache` has a short `writeTimeout`, so that a probe does not hold up the round. */
  constructor(cache) {
    this.#cache = cache
  }

  /** A process was killed, perhaps while it held a lock. */
  begin() {
    this.#open = new Set(keys)
  }

  /** Whether every shard was written to since `begin`. */
  get isDone() {
    return this.#open.size === 0
  }

  /**
   * Returns the failure, if there is one. `stoppedSince` tells whether a player was suspended at that time or later.
   */
  check(stoppedSince) {
    for (const key of keys) {
      const begun = now()
      if (this.#canWrite(key)) {
        this.#busy.delete(key)
        this.#open.delete(key)
        continue
      }
      const since = this.#busy.get(key)
      if (since === undefined || stoppedSince(since)) this.#busy.set(key, begun)
      else if (begun - since > PATIENCE)
        return `main is busy for ${(begun - since).toFixed()} ms, and no player is suspended`
    }
    return undefined
  }

  close() {
    this.#cache.close()
  }

  #canWrite(key) {
    try {
      this.#cache.set(key, 'probed')
      return true
    } catch (error) {
      if (error.code !== 'ERR_BUSY') throw error
      return false
    }
  }
}
