/**
 * What every application has.
 */
import type { SharedCache } from '../../../index.ts'

export interface App {
  /** Serves on any free port; workers of one cluster share it. Resolves when it listens. */
  serve(cache: SharedCache): Promise<void>
}

/** The header of an answer with the pid of the worker. */
export const WORKER = 'x-worker'

/** The hits that an application with a limit lets through, in a window longer than any test. */
export const APP_LIMIT = 50
export const APP_WINDOW = 600_000

/** Keys by which a test holds a request: the request sets the first, and goes on when the other is set. */
export const BEGUN = 'request has begun'
export const GO_ON = 'request may go on'

/** Called by a request: waits until the test lets it go on. */
export async function held(cache: SharedCache): Promise<void> {
  cache.set(BEGUN, true)
  await cache.waitFor(GO_ON, { timeout: '20s' })
}
