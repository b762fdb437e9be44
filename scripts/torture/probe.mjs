/**
 * Writes into every shard again and again, and tells of one that stays busy: a holder that runs comes to an end, and one that is
 * dead is succeeded. To be busy for a moment is nothing to wonder at.
 *
 * The thing to get wrong: who holds a lock may be stopped by us, and then to stay busy is right.
 */
import { now } from './ledger.mjs'

/** Enough for one in each shard. */
const keys = Array.from({ length: 32 }, (_, i) => `probe-${i}`)
/** Longer than a machine that has too much to do keeps a holder from its processor. */
const PATIENCE = 5_000

export class Probe {
  #cache
  /** By key: since when. */
  #busy = new Map()
  /** Keys to be written before all shards are known to be usable. */
  #open = new Set()

  /** `cache` has little patience: whoever looks is needed elsewhere. */
  constructor(cache) {
    this.#cache = cache
  }

  /** Somebody died, perhaps in a lock. */
  begin() {
    this.#open = new Set(keys)
  }

  /** Whether every shard was written to since then. */
  get isDone() {
    return this.#open.size === 0
  }

  /** What is wrong, if anything is. `stoppedSince` tells whether anybody was stopped at that time or later. */
  look(stoppedSince) {
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
        return `main is busy for ${(begun - since).toFixed()} ms, and nobody is stopped`
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
