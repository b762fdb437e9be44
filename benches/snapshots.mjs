/**
 * Snapshots and restores: the time and the speed of each, and the longest time for which it keeps the event loop from
 * turning. Entries are objects of about a kilobyte, and a few large ones.
 *
 * Usage: `node benches/snapshots.mjs [size]`. Default: `256mb` of entries; at least `8mb`. The file is in the folder for
 * temporary files.
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureBuild, ensureDependencies } from '../scripts/setup.mjs'

await ensureDependencies({ log: console.error })
await ensureBuild({ log: console.error })
const { open, segments } = await import('../dist/index.js')

const [, number = '256', unit = 'mb'] = /^(\d+)(mb|gb)$/.exec(process.argv[2] ?? '256mb') ?? []
const BYTES = Number(number) * (unit === 'gb' ? 2 ** 30 : 2 ** 20)
const MIB = 2 ** 20
const LARGE = 64
const name = `bench-snapshots-${process.pid}`
const folder = mkdtempSync(join(tmpdir(), 'cache-machine-'))
const path = join(folder, 'cache.snapshot')
const size = Math.ceil(BYTES * 1.6) + 32 * MIB
let cache = open({ name, size, near: false })
try {
  fill()
  for (const compression of ['none', 'brotli']) {
    const info = await report(`snapshot, ${compression}`, () => cache.snapshot(path, { compression }))
    const ratio = (info.fileBytes / info.bytes).toFixed(2)
    console.log(`  ${info.entries.toLocaleString('en')} entries, ${speed(info)}, the file has ${ratio} of their bytes`)
    cache.close()
    segments.destroy(name)
    cache = open({ name, size, near: false })
    const restored = await report(`restore, ${compression}`, () => cache.restore(path))
    console.log(`  ${restored.restored.toLocaleString('en')} entries, ${speed({ ...restored, bytes: info.bytes })}`)
  }
} finally {
  cache.close()
  segments.destroy(name)
  rmSync(folder, { recursive: true, force: true })
}

function fill() {
  let bytes = 0
  for (let i = 0; bytes < BYTES; i++) {
    const user = {
      id: i,
      name: `user ${i}`,
      email: `user${i}@example.com`,
      roles: ['reader', 'editor', i % 7 === 0 ? 'owner' : 'guest'],
      token: randomBytes(300).toString('base64'),
      seen: new Date(1.7e12 + i * 1000).toISOString(),
      text: 'Some words that are in many entries, as in a page. '.repeat(8),
    }
    cache.set(`user:${i}`, user, { ttl: '1d', tags: [`group:${i % 1000}`] })
    bytes += 1100
  }
  for (let i = 0; i < LARGE && i * 2 < BYTES / MIB; i++) cache.set(`large:${i}`, randomBytes(MIB / 4))
}

function speed({ bytes, duration }) {
  return `${(bytes / MIB / (duration / 1000)).toFixed(0)} MiB/s, ${(((duration / bytes) * 2 ** 30) / 1000).toFixed(1)} s per GiB`
}

async function report(title, run) {
  let [longest, last, isOver] = [0, performance.now(), false]
  const look = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    if (!isOver) setImmediate(look)
  }
  await new Promise((resolve) => setImmediate(resolve))
  look()
  const cpu = process.cpuUsage()
  const result = await run()
  const { user, system } = process.cpuUsage(cpu)
  await new Promise((resolve) => setImmediate(resolve))
  isOver = true
  console.log(
    `${title}: ${result.duration.toFixed(0)} ms, ${((user + system) / 1000).toFixed(0)} ms of processors, ` +
      `the longest pause ${longest.toFixed(1)} ms`,
  )
  return result
}
