/**
 * The speed of candidate encoders for objects of 100 B, 1 KiB and 16 KiB: the figures of docs/decisions/0004.
 *
 * The first table has the encoders alone: from the object to its stored form and back. The second has a cache with each
 * encoder and without a near cache, which includes passing the text or bytes to the native side and back. Both use
 * plain data, which JSON keeps. The third table has objects with values that JSON would lose, for the encoders that
 * keep them. Before the timing, each encoder must return an equal object. The encoders alternate within each round, so
 * that a noisy machine disturbs all alike. A figure is the median of the rounds.
 *
 * Caution: with one object for all calls, an encoder could reuse more than in an application. Each call takes the next
 * of 64 objects, which have the same shape and different values.
 *
 * Usage: `node benches/encoders.mjs` (two minutes); `--quick` for a short run with rough figures.
 */
import { isDeepStrictEqual } from 'node:util'
import { deserialize, serialize } from 'node:v8'
import { ensureBuild, ensureDependencies } from '../scripts/setup.mjs'
import { median } from './statistics.mjs'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 5 : 21
const SLICE_MS = quick ? 5 : 20
const OBJECTS = 64

await ensureDependencies({ log: console.error })
await ensureBuild({ log: console.error })
const { open, segments } = await import('../dist/index.js')
const { plainText } = await import('../dist/lib/codec/plain.cjs')
const { decodeStructured, encodeStructured } = await import('../dist/lib/codec/structured.cjs')
const { Packr } = await import('msgpackr')

const packed = new Packr({ useRecords: false })
const records = new Packr({ structures: [] })
const clones = new Packr({ structuredClone: true, moreTypes: true })

/** `codec`: the option `codec` of a cache with this encoder. */
const encoders = {
  JSON: { encode: JSON.stringify, decode: JSON.parse, codec: 'json' },
  'ours, auto': { encode: plainText, decode: JSON.parse, codec: 'auto' },
  'ours, structured': bytesEncoder(1, encodeStructured, decodeStructured),
  v8: bytesEncoder(2, serialize, deserialize),
  'msgpackr, plain': bytesEncoder(
    3,
    (value) => packed.pack(value),
    (bytes) => packed.unpack(bytes),
  ),
  'msgpackr, records': bytesEncoder(
    4,
    (value) => records.pack(value),
    (bytes) => records.unpack(bytes),
  ),
}

const richEncoders = {
  'ours, structured': encoders['ours, structured'],
  v8: encoders.v8,
  'msgpackr, structuredClone': bytesEncoder(
    5,
    (value) => clones.pack(value),
    (bytes) => clones.unpack(bytes),
  ),
}

const plain = { '100 B': objects(makeSmall), '1 KiB': objects(makeMedium), '16 KiB': objects(makeLarge) }
const rich = Object.fromEntries(Object.entries(plain).map(([size, list]) => [size, list.map(enrich)]))

const name = `bench-encoders-${process.pid}`
try {
  print('Encoders alone, plain data', measureAlone(encoders, plain))
  print('A cache with each of them, plain data', measureInCache(plain))
  print('Encoders alone, with a Date, a Set and undefined inside', measureAlone(richEncoders, rich))
} finally {
  segments.destroy(name, { force: true })
}

function bytesEncoder(id, encode, decode) {
  return { encode, decode, codec: { id, encode, decode } }
}

/** One row for each encoder, with the ns to encode, the ns to decode and the bytes, for each size. */
function measureAlone(contenders, sizes) {
  const rows = emptyRows(contenders)
  for (const [size, list] of Object.entries(sizes)) {
    const runs = Object.entries(contenders).flatMap(([label, { encode, decode }]) => {
      // Some encoders return bytes that the next value overwrites.
      const stored = list.map((value) => copyOf(encode(value)))
      stored.forEach((each, i) => check(label, decode(each), list[i]))
      rows[label][size] = { bytes: Math.round(sum(stored.map((each) => Buffer.byteLength(each))) / OBJECTS) }
      return [
        { label, size, what: 'in', run: (i) => encode(list[i]) },
        { label, size, what: 'out', run: (i) => decode(stored[i]) },
      ]
    })
    time(runs, rows)
  }
  return rows
}

function measureInCache(sizes) {
  const rows = emptyRows(encoders)
  for (const [size, list] of Object.entries(sizes)) {
    const caches = []
    const runs = Object.entries(encoders).flatMap(([label, { codec }]) => {
      const cache = open({ name, codec, near: false }).namespace(label)
      caches.push(cache)
      const keys = list.map((_, i) => `user:session:${i}`)
      list.forEach((value, i) => {
        cache.set(keys[i], value)
        check(label, cache.get(keys[i]), value)
      })
      rows[label][size] = { bytes: Math.round(sum(keys.map((key) => cache.getEntry(key).size)) / OBJECTS) }
      return [
        { label, size, what: 'in', run: (i) => cache.set(keys[i], list[i]) },
        { label, size, what: 'out', run: (i) => cache.get(keys[i]) },
      ]
    })
    time(runs, rows)
    for (const cache of caches) cache.close()
  }
  return rows
}

function emptyRows(contenders) {
  return Object.fromEntries(Object.keys(contenders).map((label) => [label, {}]))
}

function copyOf(stored) {
  return typeof stored === 'string' ? stored : Buffer.from(stored)
}

function check(label, found, value) {
  // The records of msgpackr are objects of their own class.
  const same = isDeepStrictEqual({ ...found }, { ...value }) || JSON.stringify(found) === JSON.stringify(value)
  if (!same) throw new Error(`${label} returned a different object`)
}

/** Writes the median of all rounds into `rows`, in ns per call. */
function time(runs, rows) {
  const samples = runs.map(() => [])
  for (let round = -2; round < ROUNDS; round++) {
    runs.forEach(({ run }, i) => {
      const took = slice(run)
      if (round >= 0) samples[i].push(took)
    })
  }
  runs.forEach(({ label, size, what }, i) => {
    rows[label][size][what] = median(samples[i])
  })
}

/**
 * Returns ns per call, in processor time of this process with garbage collection, so that other processes do not count.
 */
function slice(run) {
  const start = microseconds()
  let calls = 0
  let took = 0
  do {
    for (let i = 0; i < OBJECTS; i++) run(i)
    calls += OBJECTS
    took = microseconds() - start
  } while (took < SLICE_MS * 1000)
  return (took * 1000) / calls
}

function microseconds() {
  const { user, system } = process.cpuUsage()
  return user + system
}

function sum(numbers) {
  return numbers.reduce((all, number) => all + number, 0)
}

function objects(make) {
  return Array.from({ length: OBJECTS }, (_, i) => make(i))
}

function makeSmall(i) {
  return {
    id: 100_000 + i,
    name: `Ada Lovelace ${i}`,
    active: i % 2 === 0,
    score: i * 1.5,
    tags: ['a', 'b'],
    role: 'admin',
  }
}

/** 20 fields. */
function makeMedium(i) {
  const fields = Object.fromEntries(
    Array.from({ length: 14 }, (_, n) => [
      `field${n}`,
      n % 3 === 0 ? i * 1000 + n : `value ${n} of ${i} ${'x'.repeat(56)}`,
    ]),
  )
  return { ...makeSmall(i), ...fields }
}

function makeLarge(i) {
  return { id: i, rows: Array.from({ length: 160 }, (_, n) => makeSmall(i * 1000 + n)) }
}

function enrich(value) {
  return { ...value, at: new Date(1_700_000_000_000), groups: new Set(['x', 'y']), none: undefined }
}

function print(title, rows) {
  const sizes = Object.keys(Object.values(rows)[0])
  const cells = Object.entries(rows).map(([label, bySize]) => [
    label,
    ...sizes.flatMap((size) => [nanoseconds(bySize[size].in), nanoseconds(bySize[size].out), `${bySize[size].bytes}`]),
  ])
  const heads = ['', ...sizes.flatMap((size) => [`${size}: in`, 'out', 'bytes'])]
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.map((row) => row[i].length)))
  const line = (row) =>
    `| ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join(' | ')} |`
  const rule = widths.map((width, i) => (i === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`))
  console.log(`\n${title}; ns per call, median of ${ROUNDS} rounds\n`)
  for (const row of [heads, rule, ...cells]) console.log(line(row))
}

function nanoseconds(value) {
  return Math.round(value).toLocaleString('en')
}
