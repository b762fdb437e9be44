/**
 * Everything that the checks of `doctor` look at. Facts only; `checks.ts` judges them.
 *
 * A fact that the system does not tell is undefined. `gather.ts` collects them from this machine, and a test can write
 * them down.
 */
import type { SegmentFacts } from '../commands/inspect.ts'

export interface Facts {
  /** The moment of the facts, in epoch milliseconds. */
  readonly now: number
  readonly program: {
    readonly version: string
    /** `20.19.0`. */
    readonly node: string
    readonly platform: string
    readonly arch: string
    /** The value of CACHE_MACHINE_ENGINE. */
    readonly engine: string | undefined
    /** Why the addon could not be loaded. */
    readonly nativeProblem: { readonly message: string; readonly hint: string } | undefined
  }
  readonly libc: { readonly kind: 'glibc' | 'musl'; readonly version: string | undefined } | undefined
  readonly user: { readonly id: number; readonly name: string | undefined }
  readonly folder: FolderFacts
  /** The lowest memory limit of the cgroups around this process in bytes, and what they use. */
  readonly cgroup: { readonly limit: number; readonly used: number | undefined } | undefined
  /** `docker`, `podman`, `kubernetes`, `container`; undefined: none. */
  readonly container: string | undefined
  readonly logind: LogindFacts | undefined
  readonly segments: readonly SegmentFacts[]
  /** Attached processes with what PM2 has passed to them. */
  readonly pm2: readonly Pm2Process[]
  readonly samples: readonly Sample[]
}

/** The folder of the segments. */
export interface FolderFacts {
  readonly path: string
  readonly exists: boolean
  readonly isWritable: boolean
  /** Whether its file system is in memory; undefined: unknown. */
  readonly isMemory: boolean | undefined
  /** Bytes. */
  readonly total: number
  readonly free: number
  /** The id of the group of the segments; undefined: they are those of the user. */
  readonly group: number | undefined
  /** Files with names of segments of this user, or of the group, that are not usable as such. */
  readonly squatters: readonly Squatter[]
  /** Files of programs that died while they created a segment. */
  readonly unfinished: readonly string[]
}

/** A file in the place of a segment. */
export interface Squatter {
  readonly path: string
  readonly owner: number
  readonly group: number
  readonly mode: number
  readonly links: number
  readonly isFile: boolean
}

export interface LogindFacts {
  /** The setting RemoveIPC; the default of systemd is true. */
  readonly removesIpc: boolean
  /** Whether this user stays "logged in" without a session. */
  readonly lingers: boolean
  /** The highest id of a system user. */
  readonly lastSystemUser: number
}

export interface Pm2Process {
  readonly pid: number
  readonly segment: string
  /** The app in PM2. */
  readonly name: string
  /** `max_memory_restart` in bytes; undefined: none. */
  readonly limit: number | undefined
}

/** Some entries of a segment, read for this check. */
export interface Sample {
  readonly segment: string
  /** Objects that this package has stored in a form of its own. */
  readonly own: number
  /** Entries that only a custom codec, or a newer version, can read. */
  readonly foreign: number
  /** Counts of the segment. */
  readonly damaged: number
  readonly tagsUnjudged: number
}
