/**
 * The oracle: both engines give the same answers, errors and counts to any sequence of calls, while nothing is evicted.
 * Where they differ, one of them is wrong.
 *
 * `ORACLE_CALLS` is about how many calls are made, `SEED` repeats a run, and `SHRINK` makes a failing sequence shorter.
 */
import test from 'ava'
import * as fc from 'fast-check'
import { regions } from '../../index.ts'
import { manualClock } from '../helpers/internals.ts'
import { compare, sideOf } from '../helpers/oracle.ts'
import type { Call, Side } from '../helpers/oracle.ts'
import { anyCall } from '../helpers/oracle-calls.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { segments } from '../../index.ts'

const CALLS = Number(process.env['ORACLE_CALLS'] ?? 6000)
const CALLS_PER_RUN = 150
const seed = process.env['SEED']

test('both engines answer any sequence of calls alike', async (t) => {
  t.timeout(24 * 3_600_000)
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyCall, { minLength: CALLS_PER_RUN / 3, maxLength: (CALLS_PER_RUN * 5) / 3 }),
      async (calls) => {
        await run(calls)
      },
    ),
    {
      numRuns: Math.ceil(CALLS / CALLS_PER_RUN),
      // A smaller counterexample takes minutes.
      endOnFailure: process.env['SHRINK'] === undefined,
      ...(seed !== undefined && { seed: Number(seed) }),
      reporter(details) {
        if (details.failed) {
          const lines = details.counterexample?.[0].map(({ text }) => `  ${text}`) ?? []
          throw new Error(`SEED=${details.seed}\n${lines.join('\n')}\n${String(details.errorInstance)}`)
        }
      },
    },
  )
  t.pass()

  async function run(calls: readonly Call[]): Promise<void> {
    const name = segmentName(t)
    const open = (engine: Side['engine']): Side => {
      // A resize changes the size that the handles of namespaces ask for.
      const options = { name, engine, near: false, onMismatch: 'attach', [manualClock]: true } as const
      return sideOf(engine, openCache(t, options), openCache(t, { ...options, version: 'v1' }))
    }
    const sides = [open('native'), open('portable')] as const
    try {
      await compare(sides, calls)
    } finally {
      for (const { engine, root, version, region } of sides) {
        version.close()
        root.close()
        region.close()
        segments.destroy(name, { engine, force: true })
        regions.destroy(name, 'bytes', { engine, force: true })
      }
    }
  }
})
