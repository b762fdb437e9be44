/**
 * How the suite of the rate limits sees a host: through a driver in `drivers/<adapter>.ts`, which calls the host's own
 * package where it can be called without a server.
 */
import type { SharedCache } from '../../index.ts'

export const LIMIT = 5
/** Milliseconds, and no whole seconds. */
export const WINDOW = 1500

export interface Hit {
  readonly allowed: boolean
  readonly hits: number
}

/** One limiter of `LIMIT` hits in `WINDOW`. */
export interface LimitDriver {
  hit(key: string): Promise<Hit>
  /** Ends the window of a key, if the host can. */
  reset?(key: string): Promise<unknown>
  /** Another limiter of the host over the same cache. */
  other(): LimitDriver
}

export interface LimitDriverModule {
  driver(cache: SharedCache): LimitDriver
}
