/**
 * Waiting in tests: for something to become true, for an event, for a turn of the event loop. Always with an end.
 */
import { setTimeout as delay } from 'node:timers/promises'

const POLL_MS = 5

/** Asks again and again until the answer is truthy, and returns it. Rejects after `timeout` milliseconds. */
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

/** The promise's result, or a rejection after `timeout` milliseconds: a watchdog for what may hang. */
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
