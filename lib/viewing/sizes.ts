/**
 * The largest entries of a segment, from a walk that goes on from look to look, and begins anew at its end.
 */
import type { Entry, Key } from '../arguments/keys.ts'
import type { GetEntryOptions } from '../arguments/options.ts'
import type { Milliseconds } from '../arguments/units.ts'
import type { Walk } from '../cache/store.ts'

/** Entries that each look takes, and the time after which it ends: an entry is read whole. */
const SIZED_PER_LOOK = 5000
const TIME_PER_LOOK: Milliseconds = 50

/** What the walk needs of a cache. */
export interface SizedCache {
  keys(): Walk<Key>
  getEntry(key: Key, options?: GetEntryOptions): Entry | undefined
}

/** A large entry. */
export interface LargeKey {
  /** Empty for the root. */
  readonly namespace: string
  readonly key: Key
  readonly bytes: number
}

/** The namespace that is being walked. */
interface Space {
  readonly namespace: string
  readonly cache: SizedCache
  readonly keys: AsyncIterator<Key>
}

export class Sizes {
  readonly #max: number
  /** The namespaces of the next turn, and the rest of this one. */
  readonly #spaces: () => readonly (readonly [namespace: string, cache: SizedCache])[]
  #rest: (readonly [namespace: string, cache: SizedCache])[] = []
  #walk: Space | undefined
  #now = new Map<string, LargeKey>()
  #last = new Map<string, LargeKey>()

  /** `spaces`: the caches to walk, read at the begin of each turn. `max`: the number of entries to tell. */
  constructor(max: number, spaces: () => readonly (readonly [namespace: string, cache: SizedCache])[]) {
    this.#max = max
    this.#spaces = spaces
  }

  /** Goes on for some entries. The event loop turns meanwhile. */
  async look(): Promise<void> {
    const end = performance.now() + TIME_PER_LOOK
    for (let left = SIZED_PER_LOOK; left > 0 && performance.now() < end; left--) {
      this.#walk ??= this.#begin()
      if (this.#walk === undefined) return
      const { namespace, cache, keys } = this.#walk
      const { value: key, done } = await keys.next()
      if (done) this.#walk = undefined
      else this.#see(namespace, key, cache)
    }
  }

  largest(): LargeKey[] {
    const both = new Map([...this.#last, ...this.#now])
    return sorted(both).slice(0, this.#max)
  }

  /** Undefined at the end of a turn. */
  #begin(): Space | undefined {
    if (this.#rest.length === 0) {
      ;[this.#last, this.#now] = [this.#now, new Map()]
      this.#rest = [...this.#spaces()]
    }
    const [next, ...rest] = this.#rest
    this.#rest = rest
    if (next === undefined) return undefined
    const [namespace, cache] = next
    return { namespace, cache, keys: cache.keys()[Symbol.asyncIterator]() }
  }

  #see(namespace: string, key: Key, cache: SizedCache): void {
    const bytes = sizeOf(key, cache)
    if (bytes === undefined) return
    const sizes = this.#now
    sizes.set(JSON.stringify([namespace, typeof key === 'string' ? key : [...key]]), { namespace, key, bytes })
    if (sizes.size <= 8 * this.#max) return
    const kept = new Set(sorted(sizes).slice(0, 2 * this.#max))
    for (const [id, large] of sizes) if (!kept.has(large)) sizes.delete(id)
  }
}

/** Undefined: the entry is gone, or a codec of the application has written it. */
function sizeOf(key: Key, cache: SizedCache): number | undefined {
  try {
    return cache.getEntry(key, { peek: true, collections: true })?.size
  } catch {
    return undefined
  }
}

function sorted(sizes: ReadonlyMap<string, LargeKey>): LargeKey[] {
  return [...sizes.values()].toSorted((a, b) => b.bytes - a.bytes)
}
