/**
 * The versions of an application in a segment, as in `crates/core/src/records/versions.rs`: each has values of its own.
 */
import { failure, invalid, noSpace } from './failure.ts'
import type { Clock } from './clock.ts'
import { MAX_VERSIONS } from '../native/records.ts'

/** Milliseconds for which a version without handles keeps its entries. */
const GRACE = 60_000

interface Version {
  readonly name: string
  handles: number
  unusedSince: number
}

export class Versions {
  readonly #clock: Clock
  /** By number. A number is free once the entries of its version are removed. */
  readonly #known: (Version | undefined)[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Begins to use a version, and returns its number. Without `create` only one that is there. */
  begin(name: string, create = true): number {
    if (!/^[A-Za-z0-9._-]{1,32}$/.test(name)) {
      throw invalid(`version is ${JSON.stringify(name)}; it must be 1 to 32 of A-Z a-z 0-9 . _ -`)
    }
    const number = this.#known.findIndex((version) => version?.name === name)
    const known = this.#known[number]
    if (known !== undefined) {
      known.handles++
      return number
    }
    if (!create) throw failure('ERR_NO_SEGMENT', `the segment has no version ${JSON.stringify(name)}`)
    for (let free = 0; free < MAX_VERSIONS; free++) {
      if (this.#known[free] !== undefined) continue
      this.#known[free] = { name, handles: 1, unusedSince: 0 }
      return free
    }
    throw noSpace(`${MAX_VERSIONS} versions have users or entries, which is the most`)
  }

  end(number: number): void {
    const version = this.#known[number]
    if (version === undefined || --version.handles > 0) return
    version.unusedSince = this.#clock.now()
  }

  /** Forgets the versions that are over, and returns their numbers: their entries are to be removed. */
  takeUnused(): number[] {
    if (!this.#known.some((version) => version !== undefined && version.handles > 0)) return []
    const now = this.#clock.now()
    return [...this.#known.entries()].flatMap(([number, version]) => {
      if (version === undefined || version.handles > 0 || now - version.unusedSince < GRACE) return []
      this.#known[number] = undefined
      return [number]
    })
  }

  all(): { readonly number: number; readonly name: string; readonly processes: number }[] {
    return [...this.#known.entries()].flatMap(([number, version]) =>
      version === undefined ? [] : [{ number, name: version.name, processes: Math.min(1, version.handles) }],
    )
  }
}
