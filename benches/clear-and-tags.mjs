/**
 * What `clear` and `invalidateTags` cost with 1,000 and with 1,000,000 entries, and a walk over all keys: the figures of the
 * README. That the number of stores is the same is a test (`crates/core/tests/processes.rs`); this is the time that they take.
 *
 * Before each timed call a small part of the entries is set anew, so that there is something to end. A figure is the median of
 * all calls, by the clock; that the next read misses is checked each time.
 *
 * Usage: `node benches/clear-and-tags.mjs` (half a minute).
 */
import { ensureBuild, ensureDependencies } from '../scripts/setup.mjs'

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
    let met = 0
    for (const key of cache.keys()) if (key !== undefined) met++
    if (met !== count) throw new Error(`${met} of ${count} keys met`)
  })
  const invalidate = median(
    Array.from({ length: CALLS }, (_, i) => {
      cache.set('probe', i, { tags: ['all'] })
      const took = timed(() => cache.invalidateTags('all'))
      if (cache.has('probe')) throw new Error('still there')
      return took
    }),
  )
  fill(cache, count)
  const own = cache.namespace('own')
  const clear = median(
    Array.from({ length: CALLS }, (_, i) => {
      own.set('probe', i)
      const took = timed(() => own.clear())
      if (own.has('probe')) throw new Error('still there')
      return took
    }),
  )
  const first = timed(() => cache.clear())
  if (cache.size !== 0) throw new Error('still there')
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

function median(samples) {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1]
}
