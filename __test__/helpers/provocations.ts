/**
 * Tests that provoke error codes: each declares the codes that it provokes, and checks that the cache works afterwards.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { CacheError } from '../../index.ts'
import type { CacheErrorCode, SharedCache } from '../../index.ts'
import { problems } from './internals.ts'
import { testIf } from './system.ts'

/** Fills a cache with entries that must still exist afterwards. */
export function fill(cache: SharedCache): void {
  for (let i = 0; i < 100; i++) cache.set(`kept${i}`, { i, text: 'x'.repeat(i * 20) })
}

/** The cache has lost no entry of `fill`, and works. */
export function stillFine(t: ExecutionContext, cache: SharedCache): void {
  for (let i = 0; i < 100; i++) t.deepEqual(cache.get(`kept${i}`), { i, text: 'x'.repeat(i * 20) })
  t.true(cache.set('afterwards', 'works'))
  t.is(cache.get('afterwards'), 'works')
  t.true(cache.delete('afterwards'))
  t.deepEqual(problems(cache), [])
}

/** The codes that a running test has met. */
const met = new WeakMap<ExecutionContext, Set<unknown>>()

type Provocation = (codes: CacheErrorCode[], sentence: string, run: (t: ExecutionContext) => unknown) => void

/** Declares a test that fails unless it meets each of these codes. */
export function provokeIf(condition: boolean): Provocation {
  return (codes, sentence, run) => {
    testIf(condition)(`${codes.join(' and ')}: ${sentence}`, async (t) => {
      met.set(t, new Set())
      await run(t)
      for (const code of codes) t.true(met.get(t)?.has(code), `${code} was not met`)
    })
  }
}

export const provoke = provokeIf(true)

/** The test has met this code: an error was thrown here, or a child reported it. */
export function meet(t: ExecutionContext, code: unknown): void {
  met.get(t)?.add(code)
}

/** Every call throws the code, as a `CacheError` with a hint. */
export function allThrow(t: ExecutionContext, code: CacheErrorCode, calls: (() => unknown)[]): void {
  for (const call of calls) {
    const error = t.throws(call, { instanceOf: CacheError, code, name: 'CacheError' }, String(call))
    t.true(error instanceof CacheError && error.hint.length > 10)
    t.true((error?.message.length ?? 0) > 10)
    t.regex(error?.stack ?? '', /^CacheError/)
    meet(t, (error as CacheError | undefined)?.code)
  }
}

/** The codes that specs declare to provoke. The code of a test that is skipped on this machine counts as well. */
export function promisedCodes(): Set<string> {
  const folder = fileURLToPath(new URL('..', import.meta.url))
  const specs = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.spec.ts'))
  const texts = specs.map((file) => readFileSync(join(folder, file), 'utf8'))
  const lists = texts.flatMap((text) => [...text.matchAll(/^provoke[^[]*\[([^\]]*)\]/gm)])
  return new Set(lists.flatMap(([, list = '']) => [...list.matchAll(/'(ERR_\w+)'/g)].map(([, code = '']) => code)))
}
