/**
 * Answers in the way of Node.js: through a callback, or as a promise if there is none.
 */

/** A callback with an error first. */
export type Callback<T> = (error?: unknown, result?: T) => void

/** How a host expects its callbacks: inside the call where that is possible, or always in a later turn. */
export type Turn = 'now' | 'later'

/**
 * Runs `work` and passes its result to `callback`. Returns a promise without a callback. The promise may be dropped: its
 * rejection does not end the process.
 */
export function answer<T>(callback: Callback<T> | undefined, turn: Turn, work: () => T | Promise<T>): Promise<T> {
  if (typeof callback !== 'function') {
    const result = new Promise<T>((resolve) => resolve(work()))
    result.catch(() => undefined)
    return result
  }
  // From the event loop, not from a promise: what a callback throws is an exception then, and no rejection.
  const later = (error: unknown, value?: T): unknown => setImmediate(callback, error, value)
  const pass = turn === 'later' ? later : callback
  let value: T | Promise<T>
  try {
    value = work()
  } catch (error) {
    pass(error)
    return undefined as unknown as Promise<T>
  }
  if (value instanceof Promise) value.then((result) => later(null, result), later)
  else pass(null, value)
  return undefined as unknown as Promise<T>
}
