/**
 * What a command is, and what it gets from outside.
 *
 * The table of commands (`table.ts`) is the one source of parsing, help, shell completion and the reference page.
 */
import type {
  GetEntryOptions,
  DeletePrefixOptions,
  OpenOptions,
  SegmentOptions,
  StatsOptions,
} from '../arguments/options.ts'
import type { Entry, Key } from '../arguments/keys.ts'
import type { MessageBus, TaggedStore } from '../cache/store.ts'
import type { DashboardServer } from '../dashboard/server.ts'
import type { CacheError } from '../errors.ts'
import type { Change, WatchFilter } from '../messaging/changes.ts'
import type { StreamOptions } from '../messaging/streams.ts'
import type { RestoreInfo, RestoreOptions, SnapshotInfo, SnapshotOptions } from '../snapshots/options.ts'
import type { Held } from '../segment/holders.ts'
import type { Health } from '../segment/health.ts'
import type { ResizeResult, Segments } from '../segment/segments.ts'
import type { Stats } from '../segment/stats.ts'
import type { Call } from './arguments.ts'
import type { Grammar } from './grammar.ts'
import type { Output } from './output.ts'

/** 0: done. 1: not found, unhealthy, or it failed. 2: the command line is wrong. */
export type ExitCode = 0 | 1 | 2

/** What commands need of a cache. */
export interface InspectedCache extends TaggedStore, Pick<MessageBus, 'subscribe'> {
  readonly size: number
  peek(key: Key): unknown
  getEntry(key: Key, options?: GetEntryOptions): Entry | undefined
  persist(key: Key): boolean
  stats(options?: StatsOptions): Stats
  watch(filter?: WatchFilter, options?: StreamOptions): AsyncIterableIterator<Change>
  deletePrefixAsync(prefix: Key, options?: DeletePrefixOptions): Promise<number>
  health(): Health
  snapshot(path: string, options?: SnapshotOptions): Promise<SnapshotInfo>
  restore(path: string, options?: RestoreOptions): Promise<RestoreInfo>
  namespace<W = unknown>(name: string): InspectedCache & TaggedStore<W>
}

/** Which dashboard to serve. */
export interface DashboardRequest {
  /** Undefined: all segments. */
  readonly name: string | undefined
  readonly place: SegmentOptions
  /** 0: any free one. */
  readonly port: number
  readonly write: boolean
}

/** The package, as the entry point passes it. */
export interface Package {
  readonly version: string
  open(options: OpenOptions): InspectedCache
  readonly segments: Segments
  /** The contradictions in the structures of a segment. Takes the lock of each shard in turn. */
  problems(cache: InspectedCache): string[]
  /** The locks, semaphores and leaderships of the namespace, with holders and waiters. */
  heldIn(cache: InspectedCache): Held[]
  /** `segments.resize` in another thread: it blocks its own until it is done. */
  resize(name: string, size: number, place: SegmentOptions): Promise<ResizeResult>
  /** Starts the dashboard of a segment, or of all of them. */
  serveDashboard(options: DashboardRequest): Promise<DashboardServer>
  /** Why the native addon could not be loaded; undefined: it is loaded. */
  nativeProblem(): CacheError | undefined
}

/** What a command gets from outside. */
export interface World extends Package {
  readonly env: NodeJS.ProcessEnv
  /** For results. */
  readonly out: Output
  /** For progress and errors. */
  readonly err: Output
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal
  /** All of standard input. */
  input(): Promise<string>
}

export interface Command extends Grammar {
  /** One line, without a full stop. */
  readonly summary: string
  /** What it does, with its edge cases; paragraphs of plain text. */
  readonly about: readonly string[]
  readonly examples: readonly (readonly [line: string, what: string])[]
  /** What `--json` prints. */
  readonly json: string
  run(call: Call, world: World): Promise<ExitCode> | ExitCode
}

/** Where the segments of a call are. */
export function placeOf(call: Call): SegmentOptions {
  const [directory, group] = [call.text('directory'), call.text('group')]
  return {
    ...(directory !== undefined && { directory }),
    ...(group !== undefined && { group: /^\d+$/.test(group) ? Number(group) : group }),
    engine: 'native',
  }
}

/** Opens the segment of a call without creating it; closed by `using`. */
export function openSegment(call: Call, { open }: Package, options: Partial<OpenOptions> = {}): Opened {
  const name = call.parameter(0)
  const version = call.text('app-version')
  const root = open({
    name,
    ...(version !== undefined && { version }),
    ...placeOf(call),
    create: false,
    near: false,
    strict: true,
    ...options,
  })
  try {
    const namespace = call.text('namespace')
    const cache = namespace === undefined ? root : root.namespace(namespace)
    return { root, cache, [Symbol.dispose]: () => root.close() }
  } catch (error) {
    root.close()
    throw error
  }
}

/** A segment, and the namespace of it that a call names. */
export interface Opened extends Disposable {
  readonly root: InspectedCache
  readonly cache: InspectedCache
}

/** A key as it was given on the command line. */
export function keyOf(text: string, call: Call): Key {
  if (!call.flag('hex')) return text
  if (/^(?:[0-9a-f]{2})+$/i.test(text)) return Buffer.from(text, 'hex')
  throw call.wrong(`${JSON.stringify(text)} is no key in hexadecimal digits`, 'Pass two digits for each byte.')
}
