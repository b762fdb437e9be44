/**
 * Walks over a million entries: the time of each, and the longest time for which it keeps the event loop from turning.
 * `for await` and `deletePrefixAsync` run in steps; the synchronous forms are one step.
 *
 * Usage: `node benches/walks.mjs [entries]`.
 */
import { ensureBuild, ensureDependencies } from '../scripts/setup.mjs'

await ensureDependencies({ log: console.error })
await ensureBuild({ log: console.error })
const { open, segments } = await import('../dist/index.js')

const COUNT = Number(process.argv[2] ?? 1_000_000)
const name = `bench-walks-${process.pid}`
const cache = open({ name, size: '1gb', near: false })
try {
  fill()
  await report('for … of keys()', () => countOf(cache.keys()))
  await report('for await … of keys()', () => countInTurns(cache.keys()))
  await report('for … of entries()', () => countOf(cache.entries()))
  await report('for await … of entries()', () => countInTurns(cache.entries()))
  await report('for await … of keys({ prefix }), none', () => countInTurns(cache.keys({ prefix: 'none' })))
  await report('deletePrefix, none', () => cache.deletePrefix('none'))
  await report('deletePrefixAsync, none', () => cache.deletePrefixAsync('none'))
  await report('deletePrefix, all', () => cache.deletePrefix('k'))
  fill()
  await report('deletePrefixAsync, all', () => cache.deletePrefixAsync('k'))
} finally {
  cache.close()
  segments.destroy(name)
}

function fill() {
  for (let i = 0; i < COUNT; i++) cache.set(`k${i}`, i)
}

function countOf(walk) {
  let count = 0
  for (const item of walk) if (item !== undefined) count++
  return count
}

async function countInTurns(walk) {
  let count = 0
  for await (const item of walk) if (item !== undefined) count++
  return count
}

async function report(title, run) {
  let [longest, last, isOver, turns] = [0, performance.now(), false, 0]
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    turns++
    if (!isOver) setImmediate(look)
  }
  await new Promise((resolve) => setImmediate(resolve))
  look()
  const start = performance.now()
  const found = await run()
  const took = performance.now() - start
  await new Promise((resolve) => setImmediate(resolve))
  isOver = true
  console.log(
    `${title}: ${took.toFixed(0)} ms for ${found.toLocaleString('en')}, ` +
      `${turns.toLocaleString('en')} turns, the longest ${longest.toFixed(1)} ms`,
  )
}
