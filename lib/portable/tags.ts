/**
 * Tags: which entries carry one, and which were invalidated while a value was loaded, or lately. A tag is its identity;
 * see `tag-identity.ts`.
 *
 * An invalidation ends exactly the entries with its tags. A value that began to be loaded before it is as old as the
 * entries that it ended, so the invalidations since the begin of the oldest load are remembered.
 */
import type { Entry } from './entry.ts'

/** The clock at the last removal and the last outdating of a tag. */
interface Invalidated {
  removed: number
  outdated: number
}

/** The tags of one namespace. */
export class Tags {
  readonly #entries = new Map<string, Set<Entry>>()
  readonly #invalidated = new Map<string, Invalidated>()
  /** The keys of which a load is under way. */
  readonly #loads = new Set<string>()

  retag(entry: Entry, before: readonly string[], after: readonly string[]): void {
    for (const tag of before) {
      const entries = this.#entries.get(tag)
      entries?.delete(entry)
      if (entries?.size === 0) this.#entries.delete(tag)
    }
    for (const tag of after) {
      const entries = this.#entries.get(tag)
      if (entries === undefined) this.#entries.set(tag, new Set([entry]))
      else entries.add(entry)
    }
  }

  /** The entries with one of these tags. */
  entriesOf(tags: readonly string[]): Set<Entry> {
    return new Set(tags.flatMap((tag) => [...(this.#entries.get(tag) ?? [])]))
  }

  /** Remembers an invalidation for the loads that are under way. */
  note(tags: readonly string[], clock: number, outdate: boolean): void {
    if (this.#loads.size === 0) return
    for (const tag of tags) {
      const { removed, outdated } = this.#invalidated.get(tag) ?? { removed: 0, outdated: 0 }
      this.#invalidated.set(tag, outdate ? { removed, outdated: clock } : { removed: clock, outdated })
    }
  }

  /** What became of a value with these tags that began to be made at this clock. */
  fate(tags: readonly string[], madeAt: number): 'fresh' | 'stale' | 'dead' {
    let fate: 'fresh' | 'stale' = 'fresh'
    for (const tag of tags) {
      const known = this.#invalidated.get(tag)
      if (known === undefined) continue
      if (known.removed > madeAt) return 'dead'
      if (known.outdated > madeAt) fate = 'stale'
    }
    return fate
  }

  loadBegun(key: string): void {
    this.#loads.add(key)
  }

  loadEnded(key: string): void {
    if (this.#loads.delete(key) && this.#loads.size === 0) this.#invalidated.clear()
  }
}

/** A tag of a namespace that was invalidated, with the clocks of its last removal and its last outdating. */
export interface InvalidationNote extends Invalidated {
  readonly namespace: number
  readonly tag: string
}

/** Maximum number of remembered notes. */
const MAX_NOTES = 4096

/** The latest invalidations, for a snapshot during which they happen. */
export class InvalidationLog {
  /** From the oldest to the newest. */
  readonly #notes = new Map<string, InvalidationNote>()
  /** Notes of this clock and earlier ones may be gone. */
  horizon = 0

  note(namespace: number, tags: readonly string[], clock: number, outdate: boolean): void {
    for (const tag of tags) {
      const name = `${namespace}.${tag}`
      const { removed, outdated } = this.#notes.get(name) ?? { removed: 0, outdated: 0 }
      this.#notes.delete(name)
      this.#notes.set(name, {
        namespace,
        tag,
        removed: outdate ? removed : clock,
        outdated: outdate ? clock : outdated,
      })
      this.#forgetOldest()
    }
  }

  /** What became of a value with these tags that was made at this clock. */
  fate(namespace: number, tags: readonly string[], madeAt: number): 'fresh' | 'stale' | 'dead' {
    if (tags.length > 0 && madeAt < this.horizon) return 'dead'
    let fate: 'fresh' | 'stale' = 'fresh'
    for (const tag of tags) {
      const note = this.#notes.get(`${namespace}.${tag}`)
      if (note === undefined) continue
      if (note.removed > madeAt) return 'dead'
      if (note.outdated > madeAt) fate = 'stale'
    }
    return fate
  }

  /** The notes with a later clock. */
  since(clock: number): InvalidationNote[] {
    return [...this.#notes.values()].filter(({ removed, outdated }) => Math.max(removed, outdated) > clock)
  }

  #forgetOldest(): void {
    if (this.#notes.size <= MAX_NOTES) return
    for (const [name, { removed, outdated }] of this.#notes) {
      this.#notes.delete(name)
      this.horizon = Math.max(removed, outdated)
      return
    }
  }
}
