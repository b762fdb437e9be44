/**
 * A promise that the test settles: a loader that runs as long as the test wants.
 */

export interface Gate<T> {
  readonly promise: Promise<T>
  open(value: T): void
  fail(error: unknown): void
}

/** A new gate, which is shut. */
export function gate<T = void>(): Gate<T> {
  let open: (value: T) => void = () => undefined
  let fail: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  promise.catch(() => undefined) // callers that wait get the error
  return { promise, open, fail }
}
