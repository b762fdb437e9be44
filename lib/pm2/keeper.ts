/**
 * The segments that the module keeps open. It finds them by itself, and makes none: a segment belongs to its application.
 *
 * An open segment has a sweeper in the background, so its expired entries are reclaimed also while all workers are idle or
 * down. A segment that was destroyed is given up, and kept again when an application has made it anew.
 */
import { open, segments } from '../../index.ts'
import type { SegmentInfo, SharedCache, Stats } from '../../index.ts'
import type { ModuleSettings } from './settings.ts'

interface Kept {
  readonly createdAt: number
  /** It sweeps. No call uses it, since a call would make a destroyed segment anew. */
  readonly sweeping: SharedCache
  readonly reading: SharedCache
}

/** A segment with its counts. */
export interface Reading {
  readonly info: SegmentInfo
  readonly stats: Stats
}

/** The segments that the module keeps open. */
export class Keeper {
  readonly #settings: ModuleSettings
  readonly #report: (text: string) => void
  readonly #kept = new Map<string, Kept>()
  /** The last trouble with each segment, so that each is reported once. */
  readonly #troubles = new Map<string, string>()

  constructor(settings: ModuleSettings, report: (text: string) => void) {
    this.#settings = settings
    this.#report = report
  }

  /** Opens what is new, gives up what is gone, and reads the counts of all. */
  read(): Reading[] {
    const there = segments.list(this.#settings.place).filter(({ name, readable }) => readable && this.#isChosen(name))
    const names = new Set(there.map(({ name }) => name))
    for (const name of this.#kept.keys()) if (!names.has(name)) this.release(name)
    return there.flatMap((info) => {
      const reading = this.#readOne(info)
      return reading === undefined ? [] : [reading]
    })
  }

  /** Closes a segment, for instance before it is destroyed. */
  release(name: string): void {
    const kept = this.#kept.get(name)
    this.#kept.delete(name)
    kept?.sweeping.close()
    kept?.reading.close()
  }

  close(): void {
    for (const name of this.#kept.keys()) this.release(name)
  }

  #isChosen(name: string): boolean {
    return this.#settings.segments?.includes(name) ?? true
  }

  #readOne(info: SegmentInfo): Reading | undefined {
    try {
      const stats = this.#keep(info).reading.stats()
      this.#troubles.delete(info.name)
      return { info, stats }
    } catch (error) {
      this.release(info.name)
      const { message } = error as Error
      if (this.#troubles.get(info.name) !== message) this.#report(`${info.name}: ${message}`)
      this.#troubles.set(info.name, message)
      return undefined
    }
  }

  #keep({ name, createdAt }: SegmentInfo): Kept {
    const known = this.#kept.get(name)
    if (known !== undefined && Math.abs(known.createdAt - createdAt) < SAME_MOMENT) return known
    this.release(name)
    const options = { ...this.#settings.place, name, near: false } as const
    const reading = open({ ...options, create: false })
    const kept = { createdAt, reading, sweeping: open(options) }
    this.#kept.set(name, kept)
    return kept
  }
}

/** The moment of creation is computed from an age, so two readings of it differ a little. */
const SAME_MOMENT = 1000
