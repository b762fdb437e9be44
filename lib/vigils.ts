/**
 * Who waits for which vigil of one cache: for a turn, or for the end of somebody else's work.
 *
 * A vigil is told once, by the background thread, and never from inside a call. The thing to get wrong: its number
 * belongs to one native handle, so all are forgotten when the cache opens its segment anew.
 */

/** The vigils that were begun and not told yet. */
export class Vigils {
  readonly #told = new Map<number, () => void>()

  /** Calls `told` when the native side tells of this vigil. */
  add(id: number, told: () => void): void {
    this.#told.set(id, told)
  }

  /** A notice of it may still be under way; it is not heard. */
  remove(id: number): void {
    this.#told.delete(id)
  }

  /** The native side told of these and has forgotten them. */
  notify(ids: readonly number[]): void {
    for (const id of ids) {
      const told = this.#told.get(id)
      this.#told.delete(id)
      told?.()
    }
  }

  /** The handle that they were begun on is left. */
  clear(): void {
    this.#told.clear()
  }
}
