/**
 * The segment that a snapshot is made of or restored to: its calls, and the difference of its clock to the epoch.
 *
 * Cursors, lives and tag clocks are those of one segment. If it is lost meanwhile, the work ends with an error.
 */
import type { ResolvedOptions } from '../arguments/options.ts'
import { CacheError } from '../errors.ts'
import { MetaFloat } from '../native/layout.ts'
import type { NativeCalls, RawAccess } from '../segment/calls.ts'
import type { VersionHandle } from '../segment/handle.ts'

/** What snapshots need of a connection. */
export interface SnapshotCalls extends NativeCalls, Pick<RawAccess, 'live'> {
  readonly options: ResolvedOptions
  /** A handle of a version of the application. The caller closes it. */
  openVersion(version: string): VersionHandle
  /** Calls `run` with a handle of another namespace, which is closed afterwards. */
  inNamespace<T>(namespace: string, run: (id: number) => T, quota?: ResolvedOptions['native']['quota']): T
}

export class OneSegment {
  readonly calls: SnapshotCalls
  readonly #handleId: number
  readonly #work: string

  /** `work`: for the message of the error. */
  constructor(calls: SnapshotCalls, work: string) {
    this.calls = calls
    this.#handleId = calls.handleId
    this.#work = work
  }

  /** A call on the segment in which the work began. */
  call<T>(run: (id: number) => T): T {
    return this.calls.write((id) => {
      if (id !== this.#handleId) {
        const { name } = this.calls.options.native
        const message = `the segment "${name}" was destroyed or lost during the ${this.#work}`
        throw new CacheError('ERR_SNAPSHOT_INTERRUPTED', message)
      }
      return run(id)
    })
  }

  /** Milliseconds from 1970 to the start of the clock of the segment. */
  epoch(): number {
    const handle = this.calls.live()
    handle.now()
    return Math.round(Date.now() - (handle.floats[MetaFloat.Now] as number))
  }
}
