/**
 * How the suite of the adapters sees an adapter: through a driver, which calls the host's own package, and through what
 * the host expects in each case.
 *
 * A driver stands in `drivers/<adapter>.ts` and exports `driver`, so that another process can make one as well. It
 * reports an error of the host as a rejection.
 */
import type { SharedCache } from '../../index.ts'

/** One host over one cache. A method is missing if the host has no such call. */
export interface Driver {
  get(key: string): Promise<unknown>
  /** `ttl` in the unit of the host. */
  set(key: string, value: unknown, ttl?: number): Promise<unknown>
  delete?(key: string): Promise<unknown>
  clear?(): Promise<unknown>
  /** The value, or the result of `load`. */
  load?(key: string, load: () => Promise<unknown>): Promise<unknown>
  /** The host with another namespace, over the same cache. */
  other?(): Driver
}

export interface DriverModule {
  driver(cache: SharedCache): Driver | Promise<Driver>
  /** What the host expects in each case. */
  readonly expected: Expected
}

/** A reason why a case does not exist for a host. */
export interface Without {
  readonly without: string
}

/** What is there after a write: the value, or a miss. `rejects`: the write fails and there is no value. */
export type Outcome = 'kept' | 'miss' | 'rejects'

export interface Expected {
  /** What `get` answers without an entry. */
  readonly miss: undefined | null
  /** Milliseconds in a unit of the host's lifetimes. */
  readonly ttl: { readonly unit: 1 | 1000; readonly zero: Outcome; readonly negative: Outcome } | Without
  readonly null: Outcome
  readonly undefined: Outcome
  /** What `get` answers for a `Buffer` of 1, 2 and 255. */
  readonly binary: unknown
  /** What `clear` leaves: the entries of other namespaces of the host, or none of the host's entries. */
  readonly clear: 'other namespaces' | 'nothing' | Without
  /** A write to a segment in trouble. `false`: it answers so. */
  readonly failedWrite: 'rejects' | 'resolves' | false
  /** A read from a closed cache. */
  readonly closed: 'rejects' | 'miss'
  /** `wrap` and the like. */
  readonly loads: true | Without
}

/** What hosts expect that keep values as the cache does, and lifetimes in milliseconds with 0 for none. */
export const usual = {
  miss: undefined,
  ttl: { unit: 1, zero: 'kept', negative: 'miss' },
  null: 'kept',
  undefined: 'miss',
  binary: Buffer.from([1, 2, 255]),
  clear: 'other namespaces',
} as const satisfies Partial<Expected>

/** The same with errors as rejections. */
export const strict = { ...usual, failedWrite: 'rejects', closed: 'rejects' } as const satisfies Partial<Expected>

/** The same for hosts over a Keyv, which reports an error as an event. */
export const lenient = { ...usual, failedWrite: 'resolves', closed: 'miss' } as const satisfies Partial<Expected>
