/**
 * The time of `clear` and `invalidateTags` with 1,000 and with 1,000,000 entries, and of a walk over all keys. A test
 * (`crates/core/tests/processes/invalidation.rs`) proves that the number of stores to memory does not depend on the
 * number of entries.
 *
 * Each timed call follows a `set`, so that there is an entry to invalidate, and each time the next read must miss. A
 * figure is the median of all calls, in wall-clock time.
 *
 * Usage: `node benches/clear-and-tags.mjs` (half a minute).
 */
import { ensureBuild, ensureDependencies } from '../scripts/setup.mjs'
import { median } from './statistics.mjs'

const CALLS = 200

await ensureDependencies({ log: console.error })
await ensureBuild({ log: console.error })
const { open, segments } = await import('../dist/index.js')

for (const count of [1_000, 1_000_000]) {
  const name = `bench-clear-${process.pid}`
  const cache = open({ name, size: '1gb', near: false })
  try {
    report(count, cache)
  } finally {
    cache.close()
    segments.destroy(name)
  }
}

function report(count, cache) {
  fill(cache, count)
  const walk = timed(() => {
    let found = 0
    for (const key of cache.keys()) if (key !== undefined) found++
    if (found !== count) throw new Error(`the walk found ${found} of ${count} keys`)
  })
  const invalidate = median(
    Array.from({ length: CALLS }, (_, i) => {
      cache.set('probe', i, { tags: ['all'] })
      const took = timed(() => cache.invalidateTags('all'))
      if (cache.has('probe')) throw new Error('an entry is still there')
      return took
    }),
  )
  fill(cache, count)
  const own = cache.namespace('own')
  const clear = median(
    Array.from({ length: CALLS }, (_, i) => {
      own.set('probe', i)
      const took = timed(() => own.clear())
      if (own.has('probe')) throw new Error('an entry is still there')
      return took
    }),
  )
  const first = timed(() => cache.clear())
  if (cache.size !== 0) throw new Error('an entry is still there')
  const us = (nanoseconds) => `${(nanoseconds / 1000).toFixed(1)} µs`
  console.log(
    `${count.toLocaleString('en')} entries: invalidateTags ${us(invalidate)}, clear of a namespace ${us(clear)}, ` +
      `clear of all ${us(first)}, a walk over all keys ${(walk / 1e6).toFixed(1)} ms`,
  )
}

function fill(cache, count) {
  for (let i = 0; i < count; i++) cache.set(`k${i}`, i, { tags: ['all'] })
}

function timed(run) {
  const start = process.hrtime.bigint()
  run()
  return Number(process.hrtime.bigint() - start)
}
