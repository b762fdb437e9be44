/**
 * The harness: every workload with tiny settings and with contenders that need no installation. The figures mean
 * nothing. The tests check that the harness measures, verifies, reports failures and leaves nothing behind.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import test from 'ava'
import { adapters } from '../../scripts/setup/entries.mjs'
import { adapterRows } from '../adapters/rows.mjs'
import { judge } from '../claims.mjs'
import { figuresOf } from '../figures.mjs'
import { Suite } from '../suite.mjs'
import { replayItems } from '../tasks/tags.mjs'
import { workloads } from '../workloads/index.mjs'

const run = fileURLToPath(new URL('../run.mjs', import.meta.url))
const ours = ['cache-machine-off', 'cache-machine-copy', 'cache-machine-frozen']
const plan = {
  quick: false,
  rounds: 2,
  window: 4,
  warmUp: 2,
  messages: 5,
  memoryRounds: 1,
  memoryKeys: 2_000,
  fillBytes: 4 * 2 ** 20,
  traceRounds: 1,
  catalogueMinutes: 1,
  boundsSizes: [2 * 2 ** 20, 2 ** 50],
  boundsMs: 2,
  boundsFillMs: 60_000,
  boundsWriters: 2,
}

/** Processes start slowly on a busy machine. */
const TIMEOUT_MS = 180_000

test.beforeEach((t) => t.timeout(TIMEOUT_MS))

function folderOf(t) {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Runs some workloads and checks that nothing is left; returns the figures and problems. */
async function measure(t, ids, { only, ...more }) {
  const suite = await Suite.create({ plan: { ...plan, ...more }, only, log: () => undefined })
  try {
    for (const { measure } of workloads.filter(({ id }) => [ids].flat().includes(id))) await measure(suite)
  } finally {
    await suite.dispose()
  }
  t.deepEqual(leftBy(process.pid), [])
  return { figures: suite.figures, problems: suite.problems, absent: suite.absent }
}

/** The files of a run of this process in shared memory and in the temporary folder. */
function leftBy(pid) {
  const names = ['/dev/shm', tmpdir()].flatMap((folder) => readdirSync(folder))
  return names.filter((name) => name.includes(`bench-${pid}-`))
}

function assertMeasured(t, { figures, problems }, wanted, count) {
  t.deepEqual(problems, [])
  const found = figuresOf({ figures }, wanted)
  t.is(found.length, count, JSON.stringify(wanted))
  for (const { samples, median, min, max } of found) {
    t.true(samples.length >= 1 && min > 0 && min <= median && median <= max && Number.isFinite(max))
  }
}

test.serial('single processes: strings, with a synchronous store, in the primary, and pipelined', async (t) => {
  const contenders = [...ours, 'map', 'process-send-json', 'process-send-json-pipelined']
  const results = await measure(t, 'string-1k', { only: contenders })
  for (const contender of contenders) assertMeasured(t, results, { contender, placement: 'free' }, 4)
  assertMeasured(t, results, { contender: 'process-send-json', placement: 'one' }, 4)
})

test.serial('single processes: objects', async (t) => {
  const results = await measure(t, 'object-1k', { only: ours })
  for (const contender of ours) assertMeasured(t, results, { contender, scene: 'object-1k' }, 4)
})

test.serial('single processes: Buffers, also over a JSON channel', async (t) => {
  const results = await measure(t, 'buffer-16k', {
    only: ['cache-machine-off', 'process-send-json', 'process-send-advanced'],
  })
  assertMeasured(t, results, { contender: 'cache-machine-off' }, 2)
  for (const contender of ['process-send-json', 'process-send-advanced']) assertMeasured(t, results, { contender }, 4)
})

test.serial('each adapter that keeps values or counts has a row, beside the bare cache', async (t) => {
  // Sockets of Socket.IO are no calls of a cache, and Nest has the store of cache-manager.
  const without = new Set(['nest', 'socket-io'])
  t.deepEqual(
    adapterRows.map(({ id }) => id).toSorted(),
    adapters().filter((name) => !without.has(name)),
  )
  const results = await measure(t, 'adapters', {})
  t.deepEqual(results.absent, [])
  const wanted = { workload: 'adapters', scene: 'ratio' }
  assertMeasured(t, results, { ...wanted, operation: 'hit' }, 17)
  assertMeasured(t, results, { ...wanted, operation: 'set' }, 16)
  assertMeasured(t, results, { ...wanted, operation: 'count' }, 5)
  assertMeasured(t, results, { workload: 'adapters', scene: 'time', unit: 'ns' }, 2 * (17 + 16 + 5))
})

test.serial('several processes with one store', async (t) => {
  const results = await measure(t, 'processes', { only: ['cache-machine-off'] })
  for (const processes of [1, 2, 4, 8]) assertMeasured(t, results, { processes }, 2)
})

test.serial('wake-up, in both placements', async (t) => {
  const only = ['cache-machine-off', 'process-send-advanced']
  const results = await measure(t, 'wake-up', { only })
  for (const contender of only)
    for (const operation of ['p50', 'p99']) assertMeasured(t, results, { contender, operation }, 2)
})

test.serial('memory of four workers, compared with four workers without a cache', async (t) => {
  const results = await measure(t, 'memory', { only: ['cache-machine-near-1000'] })
  assertMeasured(t, results, { unit: 'MiB' }, 2)
})

test.serial('fill and evict, with the newest entries still there', async (t) => {
  const results = await measure(t, 'fill', { only: ['cache-machine-off'] })
  assertMeasured(t, results, { operation: 'set when full' }, 1)
})

test.serial('hit ratios: a loop over 220 keys in caches of exactly 220 and 200 objects', async (t) => {
  const traces = join(folderOf(t), 'traces')
  mkdirSync(traces)
  const requests = Uint32Array.from({ length: 20_000 }, (_, i) => i % 220)
  writeFileSync(join(traces, 'loop.u32.gz'), gzipSync(new Uint8Array(requests.buffer)))
  writeFileSync(
    join(traces, 'README.md'),
    '| trace | size | LRU | S3-FIFO |\n|---|---:|---:|---:|\n| loop | 220 | 98.9 | 98.9 |\n| loop | 200 | 0 | 0 |\n',
  )
  const results = await measure(t, 'hit-ratio', { only: ['cache-machine-off'], traces })
  assertMeasured(t, results, { contender: 'cache-machine-off' }, 2)
  const [all] = figuresOf(results, { contender: 'cache-machine-off', operation: '220 objects' })
  t.is(all.median, 98.9)
  const [part] = figuresOf(results, { contender: 'cache-machine-off', operation: '200 objects' })
  t.true(part.median > 60 && part.median < 91, `${part.median}`)
  const [mean, worst] = judge(results).slice(-2)
  t.true(mean.reached && worst.reached)
})

test.serial('reads of tagged objects, beside invalidations of other tags', async (t) => {
  const results = await measure(t, 'tagged-reads', { only: ours })
  for (const contender of ours) assertMeasured(t, results, { contender, workload: 'tagged-reads', unit: 'ns' }, 3)
})

test.serial(
  'a catalogue beside exact tags: the reference follows from the rates, and no item outlives its tag',
  async (t) => {
    const results = await measure(t, 'catalogue', { only: ['cache-machine-off'] })
    assertMeasured(t, results, { contender: 'cache-machine-off' }, 4)
    const exact = figuresOf(results, { contender: 'exact tags' }).map(({ median }) => median)
    // An item is read r times for each invalidation, so r of r + 1 reads find it.
    const wanted = [100, 1_000, 5_000, 20_000].map((ended) => (60_000 / (60_000 + ended)) * 100)
    for (const [i, percent] of exact.entries())
      t.true(Math.abs(percent - wanted[i]) < 0.5, `${percent}, not ${wanted[i]}`)
    const below = figuresOf(results, {}).filter(({ contender }) => contender.startsWith('points below'))
    t.is(below.length, 4)
    for (const { median } of below) t.true(median >= 0, 'more hits than exact tags allow')
  },
)

test.serial('a catalogue fails if its store forgets an invalidation', async (t) => {
  const items = new Map()
  const store = {
    get: (key) => items.get(key),
    setTagged: (key, value) => items.set(key, value),
    invalidateTags: () => 0,
  }
  const args = { items: 10, reads: 100, invalidations: 50, minutes: 1, seed: 1 }
  t.throws(() => replayItems(store, args), { message: /instead of undefined/ })
})

test.serial('the longest calls, in each state; a size without room is reported', async (t) => {
  const results = await measure(t, 'bounds', { only: ['cache-machine-off'] })
  for (const operation of ['full', 'hot', 'tagged', 'TTLs, no eviction', '2 writers', 'kills']) {
    assertMeasured(t, results, { workload: 'bounds', scene: '2 MiB', operation }, 20)
  }
  t.deepEqual(
    results.absent.map(({ what }) => what),
    ['bounds in 1048576 GiB'],
  )
})

test.serial('without traces the hit ratios are skipped and reported', async (t) => {
  const { figures, absent, problems } = await measure(t, 'hit-ratio', {
    only: ['cache-machine-off'],
    traces: folderOf(t),
  })
  t.deepEqual([figures, problems], [[], []])
  t.regex(absent[0].why, /no traces/)
})

test.serial('a contender that fails in a workload is reported, and the next workload runs', async (t) => {
  // 1 MiB is below the minimum size of a segment.
  const results = await measure(t, ['fill', 'wake-up'], { only: ['cache-machine-off'], fillBytes: 2 ** 20 })
  const [{ contender, where, error }, ...more] = results.problems
  t.deepEqual([contender, where, more], ['cache-machine-off', 'fill', []])
  t.regex(error, /size is 1048576 bytes/)
  t.notRegex(error, /\.mjs|file:/, 'no stack and no paths of this machine')
  t.deepEqual(figuresOf(results, { workload: 'fill' }), [])
  t.not(figuresOf(results, { workload: 'wake-up' }).length, 0)
})

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
  test.serial(
    signal === 'SIGKILL'
      ? 'the next run removes what a run leaves after SIGKILL'
      : `a run leaves nothing behind after ${signal}`,
    async (t) => {
      const folder = folderOf(t)
      const options = [
        '--as-is',
        '--json',
        join(folder, 'r.json'),
        '--html',
        join(folder, 'r.html'),
        '--traces',
        folder,
      ]
      const start = (...args) =>
        spawn(process.execPath, [run, ...options, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
      const child = start('--only', 'wake-up,processes', '--contenders', 'cache-machine-off,process-send-json')
      t.teardown(() => child.kill('SIGKILL'))
      const ended = new Promise((resolve) => child.on('exit', (code, by) => resolve(code ?? by)))
      for await (const line of createInterface(child.stderr)) if (line.includes('processes')) break
      child.kill(signal)
      t.is(await ended, signal === 'SIGKILL' ? 'SIGKILL' : 130)
      if (signal === 'SIGKILL') {
        t.not(leftBy(child.pid).length, 0)
        const next = start('--only', 'hit-ratio', '--contenders', 'map')
        t.is(await new Promise((resolve) => next.on('exit', resolve)), 0)
      }
      t.deepEqual(leftBy(child.pid), [])
    },
  )
}
