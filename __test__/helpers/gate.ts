/**
 * A promise that the test settles: a loader that is under way as long as the test wants.
 */

export interface Gate<T> {
  readonly promise: Promise<T>
  open(value: T): void
  fail(error: unknown): void
}

/** One that is shut. */
export function gate<T = void>(): Gate<T> {
  let open: (value: T) => void = () => undefined
  let fail: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  promise.catch(() => undefined) // that it failed is told to those who wait
  return { promise, open, fail }
}
