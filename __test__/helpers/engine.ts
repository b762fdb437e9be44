/**
 * The engine of this run, from the environment variable that `open` reads, and the tests that only the native engine
 * can pass: they need another process or thread, a file, or damage inside the segment.
 */
import test from 'ava'
import type { TestFn } from 'ava'

export const isPortable: boolean = process.env['CACHE_MACHINE_ENGINE'] === 'portable'

/**
 * `test` for the native engine alone. In a run on the portable engine the test is listed as not applicable, with the
 * reason: `scripts/verify/specs.mjs` tells these from skipped tests by the mark in their titles.
 */
export function onNative<T extends { readonly skip: unknown } = TestFn>(needs: string, run?: T): T {
  const original = run ?? (test as unknown as T)
  if (!isPortable) return original
  const skip = original.skip as (title: string, ...rest: unknown[]) => void
  return ((title: string, ...rest: unknown[]) => skip(`${title} [needs ${needs}]`, ...rest)) as unknown as T
}
