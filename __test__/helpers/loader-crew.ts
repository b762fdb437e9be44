/**
 * A crew of `children/loader.ts`: several processes that load the same keys.
 */
import { isDeepStrictEqual } from 'node:util'
import type { ExecutionContext } from 'ava'
import { fork } from './fork.ts'
import type { Child } from './fork.ts'
import { openCache, segmentName } from './segment.ts'
import type { Loaded } from '../children/loader.ts'

export const PROCESSES = 8

export const CALLS = 100

/** Generous: only a call that hangs reaches it. */
export const SOON = 30_000

export async function crew(t: ExecutionContext, count: number): Promise<Crew> {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = Array.from({ length: count }, () => fork(t, 'loader', { name }))
  for (const child of children) await child.next(SOON)
  return { name, cache, children }
}

interface Crew {
  readonly name: string
  readonly cache: ReturnType<typeof openCache>
  readonly children: Child[]
}

export function isEach(values: readonly unknown[] | undefined, count: number, expected: object): boolean {
  return values?.length === count && values.every((value) => isDeepStrictEqual(value, expected))
}

export function sum(results: readonly Loaded[]): number {
  return results.reduce((loads, result) => loads + result.loads, 0)
}

export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
}
