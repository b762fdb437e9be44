/**
 * Waits with an end: for a condition, or for a promise.
 */
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 5

/**
 * Calls `probe` again and again until its result is truthy, and returns the result. Rejects after `timeout`
 * milliseconds.
 */
export async function eventually<T>(
  what: string,
  probe: () => T | Promise<T>,
  timeout = 10_000,
): Promise<Exclude<T, false | undefined | null>> {
  const end = performance.now() + timeout
  for (;;) {
    const answer = await probe()
    if (answer) return answer as Exclude<T, false | undefined | null>
    if (performance.now() > end) throw new Error(`did not happen within ${timeout} ms: ${what}`)
    await delay(POLL_MS)
  }
}

/** The result of the promise, or a rejection after `timeout` milliseconds: a watchdog for a promise that may hang. */
export async function within<T>(what: string, promise: Promise<T>, timeout = 10_000): Promise<T> {
  const watchdog = new AbortController()
  const late = delay(timeout, undefined, { signal: watchdog.signal }).then(() => {
    throw new Error(`did not happen within ${timeout} ms: ${what}`)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    watchdog.abort()
    late.catch(() => undefined)
  }
}
