/**
 * What a handler keeps during a build: in memory of this process, oldest out first.
 */

/** Bytes, as in the memory that Next itself has. */
const MAX_SIZE = 50 * 2 ** 20

export class BuildMemory {
  readonly #values = new Map<string, { readonly value: unknown; readonly size: number }>()
  #size = 0

  get(key: string): unknown {
    return this.#values.get(key)?.value
  }

  /** @param size About how many bytes it takes. */
  set(key: string, value: unknown, size: number): void {
    this.#size += size - (this.#values.get(key)?.size ?? 0)
    this.#values.delete(key)
    this.#values.set(key, { value, size })
    for (const [oldest, entry] of this.#values) {
      if (this.#size <= MAX_SIZE) break
      this.#values.delete(oldest)
      this.#size -= entry.size
    }
  }
}
