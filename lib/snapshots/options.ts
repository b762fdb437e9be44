/**
 * Options and results of snapshots.
 */
import { accepted, checkOptions } from '../arguments/option-names.ts'
import type { AcceptedOptions } from '../arguments/option-names.ts'
import { checkSignal, resolveTimeout } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import { invalid } from '../errors.ts'
import type { SnapshotCompression } from './format.ts'

/** Options of `snapshot`. */
export interface SnapshotOptions {
  /** How the entries are compressed: `'brotli'` or `'none'`. Default: `'brotli'`. */
  compression?: SnapshotCompression | undefined
  /** Ends the snapshot; an older file stays. */
  signal?: AbortSignal | undefined
  /** Called after each slice of the work with the number of entries so far. What it throws ends the snapshot. */
  onProgress?: ((entries: number) => void) | undefined
}

/** A snapshot that was written. */
export interface SnapshotInfo {
  /** The absolute path. */
  readonly path: string
  /** Epoch milliseconds at which it began. */
  readonly createdAt: number
  /** The number of entries, and of results of `once`. */
  readonly entries: number
  /** Bytes of the entries, with their keys and their lifetimes. */
  readonly bytes: number
  /** Bytes of the file. */
  readonly fileBytes: number
  readonly duration: Milliseconds
}

/** Options of `restore`. */
export interface RestoreOptions {
  /**
   * `'merge'` keeps the entries that are there; `'replace'` leaves the entries of the snapshot and those that are
   * written after the restore began. Default: `'merge'`.
   */
  mode?: 'merge' | 'replace' | undefined
  /** With `'merge'`: entries of the snapshot replace those that are there. Default: false. */
  overwrite?: boolean | undefined
  /** Ends the restore; entries that were stored before stay. */
  signal?: AbortSignal | undefined
  /**
   * Called after each slice of the work, from the moment at which the file was checked, with the number of entries so far
   * and that of all entries. What it throws ends the restore.
   */
  onProgress?: ((entries: number, total: number) => void) | undefined
}

/** A snapshot that was restored. The numbers from `restored` to `tooLarge` add up to `entries`. */
export interface RestoreInfo {
  /** Epoch milliseconds at which the snapshot began. */
  readonly createdAt: number
  /** The version of this package that wrote it. */
  readonly packageVersion: string
  /** The number of entries in the file. */
  readonly entries: number
  /** Entries that were stored. */
  readonly restored: number
  /** Entries that were left out, since their keys have entries that are kept. */
  readonly existing: number
  /** Entries with a lifetime that has passed. */
  readonly expired: number
  /** Entries that a `clear` or the invalidation of a tag ended, during the snapshot or during the restore. */
  readonly ended: number
  /** Entries for which there was no room. */
  readonly noRoom: number
  /** Entries that are larger than `maxEntrySize`. */
  readonly tooLarge: number
  /** Entries of the segment that were evicted meanwhile: the segment is smaller than the snapshot. */
  readonly evicted: number
  /** Entries that were deleted by `mode: 'replace'`. */
  readonly deleted: number
  /** Names of namespaces with quotas that could not be set, since this segment has less room. */
  readonly quotasLeft: readonly string[]
  readonly duration: Milliseconds
}

/** Options of `keepSnapshots`. */
export interface KeepSnapshotsOptions {
  /** The time from one snapshot to the next, at least a second; Infinity: only on request. Default: `'5m'`. */
  every?: Duration | undefined
  /** Write a snapshot when this process gets SIGTERM while it is the one that writes. Default: true. */
  onSigterm?: boolean | undefined
  /**
   * Restore the file first, in one process, unless the segment had its turn already: other processes wait for it.
   * Default: true.
   */
  restore?: boolean | undefined
  /** As for `snapshot`. */
  compression?: SnapshotCompression | undefined
  /** Gets each snapshot that this process has written. */
  onSnapshot?: ((info: SnapshotInfo) => void) | undefined
  /** Gets the error of a snapshot or a restore that failed. Default: a warning of the process. */
  onError?: ((error: unknown) => void) | undefined
}

const SNAPSHOT: AcceptedOptions = accepted<SnapshotOptions>('snapshot', {
  compression: true,
  signal: true,
  onProgress: true,
})
const RESTORE: AcceptedOptions = accepted<RestoreOptions>('restore', {
  mode: true,
  overwrite: true,
  signal: true,
  onProgress: true,
})
const KEEP: AcceptedOptions = accepted<KeepSnapshotsOptions>('keepSnapshots', {
  every: true,
  onSigterm: true,
  restore: true,
  compression: true,
  onSnapshot: true,
  onError: true,
})

const MIN_EVERY: Milliseconds = 1000

export interface ResolvedSnapshot {
  readonly compression: SnapshotCompression
  readonly signal: AbortSignal | undefined
  readonly onProgress?: ((entries: number) => void) | undefined
}

export interface ResolvedRestore {
  readonly isReplacing: boolean
  readonly overwrite: boolean
  readonly signal: AbortSignal | undefined
  readonly onProgress?: ((entries: number, total: number) => void) | undefined
}

export interface ResolvedKeep {
  readonly every: Milliseconds
  readonly onSigterm: boolean
  readonly restore: boolean
  readonly compression: SnapshotCompression
  readonly onSnapshot: ((info: SnapshotInfo) => void) | undefined
  readonly onError: ((error: unknown) => void) | undefined
}

export function resolveSnapshot(options: SnapshotOptions = {}): ResolvedSnapshot {
  checkOptions(options, SNAPSHOT)
  return {
    compression: checkCompression(options.compression),
    signal: checkSignal(options.signal),
    onProgress: checkListener(options.onProgress, 'onProgress'),
  }
}

export function resolveRestore(options: RestoreOptions = {}): ResolvedRestore {
  checkOptions(options, RESTORE)
  const { mode = 'merge', overwrite = false } = options
  if (mode !== 'merge' && mode !== 'replace') throw invalid("mode must be 'merge' or 'replace'", mode)
  const isReplacing = mode === 'replace'
  return {
    isReplacing,
    overwrite: checkFlag(overwrite, 'overwrite') || isReplacing,
    signal: checkSignal(options.signal),
    onProgress: checkListener(options.onProgress, 'onProgress'),
  }
}

export function resolveKeep(options: KeepSnapshotsOptions = {}): ResolvedKeep {
  checkOptions(options, KEEP)
  const { every = '5m', onSigterm = true, restore = true, onSnapshot, onError } = options
  const resolved = resolveTimeout(every, 'every')
  if (resolved < MIN_EVERY) throw invalid('every must be at least a second', every)
  return {
    every: resolved,
    onSigterm: checkFlag(onSigterm, 'onSigterm'),
    restore: checkFlag(restore, 'restore'),
    compression: checkCompression(options.compression),
    onSnapshot: checkListener(onSnapshot, 'onSnapshot'),
    onError: checkListener(onError, 'onError'),
  }
}

function checkListener<F>(listener: F, name: string): F {
  if (listener === undefined || typeof listener === 'function') return listener
  throw invalid(`${name} must be a function`, listener)
}

function checkCompression(compression: SnapshotCompression = 'brotli'): SnapshotCompression {
  if (compression === 'brotli' || compression === 'none') return compression
  throw invalid("compression must be 'brotli' or 'none'", compression)
}

function checkFlag(flag: unknown, name: string): boolean {
  if (typeof flag !== 'boolean') throw invalid(`${name} must be a boolean`, flag)
  return flag
}
