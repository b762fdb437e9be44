/**
 * Reads and writes of a 100-byte string against lmdb, in one process and one run: what the foundation claims.
 *
 * Contenders alternate within each round, so that a noisy machine disturbs them alike; each figure is the median of the
 * rounds, with the smallest and largest. Before each round every value is read once and compared with what was written. lmdb runs as it comes
 * (msgpack encoding) and, the best that it can do with strings, with `encoding: 'string'`; both in memory and without
 * syncing. Its reads go through one transaction for a whole synchronous loop, which sees no other process's writes;
 * ours see them always.
 *
 * Usage: `npm run bench` (about a minute), `npm run bench -- --quick`.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensureBuild, ensureDependencies } from '../scripts/setup.mjs'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 5 : 15
const GETS = quick ? 100_000 : 300_000
const OUR_SETS = quick ? 50_000 : 200_000
const LMDB_SETS = quick ? 5_000 : 20_000
const VALUE = 'x'.repeat(100)

await ensureDependencies({ log: console.error })
await ensureBuild({ log: console.error })
const { open, segments } = await import('../dist/index.js')
const { open: openLmdb } = await import('lmdb')

const name = `bench-${process.pid}`
const folder = mkdtempSync('/dev/shm/cache-machine-bench-')
const cache = open({ name, size: '64mb' })
const environment = { mapSize: 1 << 30, noSync: true, noMemInit: true }
const plain = openLmdb({ ...environment, path: join(folder, 'plain') })
const strings = openLmdb({ ...environment, path: join(folder, 'strings'), encoding: 'string' })

const contenders = [
  { label: 'cache-machine', get: (key) => cache.get(key), set: (key) => cache.set(key, VALUE), sets: OUR_SETS },
  { label: 'lmdb', get: (key) => plain.get(key), set: (key) => plain.putSync(key, VALUE), sets: LMDB_SETS },
  {
    label: 'lmdb, strings',
    get: (key) => strings.get(key),
    set: (key) => strings.putSync(key, VALUE),
    sets: LMDB_SETS,
  },
]

try {
  for (const count of [1_000, 100_000]) measure(count)
} finally {
  cache.close()
  segments.destroy(name)
  await Promise.all([plain.close(), strings.close()])
  rmSync(folder, { recursive: true })
}

/** One table: `count` keys in random order. */
function measure(count) {
  const keys = Array.from({ length: count }, (_, i) => `user:session:${String(i).padStart(7, '0')}`)
  const order = Array.from({ length: 1 << 16 }, () => keys[Math.floor(Math.random() * count)])
  for (const key of keys) for (const { set } of contenders) set(key)

  const times = contenders.map(() => ({ get: [], set: [] }))
  for (let round = 0; round < ROUNDS; round++) {
    contenders.forEach(({ get, set, sets }, i) => {
      for (const key of keys) check(get(key))
      times[i].get.push(nanoseconds(GETS, order, get))
      times[i].set.push(nanoseconds(sets, order, set))
    })
  }
  print(count, times)
}

function check(value) {
  if (value !== VALUE) throw new Error(`read ${value}`)
}

function nanoseconds(calls, order, run) {
  const start = process.hrtime.bigint()
  for (let i = 0; i < calls; i++) run(order[i & 0xffff])
  return Number(process.hrtime.bigint() - start) / calls
}

function print(count, times) {
  console.log(
    `\n100-byte string, ${count.toLocaleString('en')} keys, ns per call: median (smallest to largest) of ${ROUNDS}`,
  )
  const [ours] = times
  contenders.forEach(({ label }, i) => {
    const cells = ['get', 'set'].map((operation) => {
      const ratio = (median(times[i][operation]) / median(ours[operation])).toFixed(1)
      return `${operation} ${figures(times[i][operation])}${i === 0 ? '' : `, ${ratio} times ours`}`
    })
    console.log(`  ${label.padEnd(14)}${cells.map((cell) => cell.padEnd(44)).join('')}`)
  })
}

function figures(samples) {
  const ns = (value) => Math.round(value).toLocaleString('en')
  return `${ns(median(samples))} (${ns(Math.min(...samples))} to ${ns(Math.max(...samples))})`
}

function median(samples) {
  return samples.toSorted((a, b) => a - b)[samples.length >> 1]
}
