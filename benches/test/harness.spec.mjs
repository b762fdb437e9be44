/**
 * The harness, with contenders that need no installation: every workload, tiny. What it measures says nothing; that it measures,
 * verifies, names what fails and leaves nothing behind, does.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import test from 'ava'
import { judge } from '../claims.mjs'
import { figuresOf } from '../figures.mjs'
import { Suite } from '../suite.mjs'
import { workloads } from '../workloads/index.mjs'

const run = fileURLToPath(new URL('../run.mjs', import.meta.url))
const ours = ['cache-machine-off', 'cache-machine-copy', 'cache-machine-frozen']
const plan = {
  quick: false,
  rounds: 2,
  window: 4,
  warmUp: 2,
  rings: 5,
  memoryRounds: 1,
  memoryKeys: 2_000,
  fillBytes: 4 * 2 ** 20,
  traceRounds: 1,
}

/** Starting processes takes long on a machine that is busy with something else. */
const PATIENCE_MS = 180_000

test.beforeEach((t) => t.timeout(PATIENCE_MS))

function folderOf(t) {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-test-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A run of some workloads; its figures and problems, when all of it is gone again. */
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

/** What a run of this process has in shared memory and among the temporary files. */
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

test.serial('single processes: strings, synchronous, in the primary, and pipelined', async (t) => {
  const contenders = [...ours, 'map', 'process-send-json', 'process-send-json-pipelined']
  const results = await measure(t, 'string-1k', { only: contenders })
  for (const contender of contenders) assertMeasured(t, results, { contender, placement: 'free' }, 4)
  assertMeasured(t, results, { contender: 'process-send-json', placement: 'one' }, 4)
})

test.serial('single processes: objects', async (t) => {
  const results = await measure(t, 'object-1k', { only: ours })
  for (const contender of ours) assertMeasured(t, results, { contender, scene: 'object-1k' }, 4)
})

test.serial('single processes: Buffers, over a channel that has none, too', async (t) => {
  const results = await measure(t, 'buffer-16k', {
    only: ['cache-machine-off', 'process-send-json', 'process-send-advanced'],
  })
  assertMeasured(t, results, { contender: 'cache-machine-off' }, 2)
  for (const contender of ['process-send-json', 'process-send-advanced']) assertMeasured(t, results, { contender }, 4)
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

test.serial('memory of four workers over that of four empty ones', async (t) => {
  const results = await measure(t, 'memory', { only: ['cache-machine-near-1000'] })
  assertMeasured(t, results, { unit: 'MiB' }, 2)
})

test.serial('fill and evict, and the newest entries are there', async (t) => {
  const results = await measure(t, 'fill', { only: ['cache-machine-off'] })
  assertMeasured(t, results, { operation: 'set when full' }, 1)
})

test.serial(
  'hit ratios: a ring of keys of which all fit but a tenth, in a cache of exactly so many objects',
  async (t) => {
    const traces = join(folderOf(t), 'traces')
    mkdirSync(traces)
    const requests = Uint32Array.from({ length: 20_000 }, (_, i) => i % 220)
    writeFileSync(join(traces, 'ring.u32.gz'), gzipSync(new Uint8Array(requests.buffer)))
    writeFileSync(
      join(traces, 'README.md'),
      '| trace | size | LRU | S3-FIFO |\n|---|---:|---:|---:|\n| ring | 220 | 98.9 | 98.9 |\n| ring | 200 | 0 | 0 |\n',
    )
    const results = await measure(t, 'hit-ratio', { only: ['cache-machine-off'], traces })
    assertMeasured(t, results, { contender: 'cache-machine-off' }, 2)
    const [all] = figuresOf(results, { contender: 'cache-machine-off', operation: '220 objects' })
    t.is(all.median, 98.9)
    const [most] = figuresOf(results, { contender: 'cache-machine-off', operation: '200 objects' })
    t.true(most.median > 60 && most.median < 91, `${most.median}`)
    const [mean, worst] = judge(results).slice(-2)
    t.true(mean.reached && worst.reached)
  },
)

test.serial('without traces the hit ratios are named and left out', async (t) => {
  const { figures, absent, problems } = await measure(t, 'hit-ratio', {
    only: ['cache-machine-off'],
    traces: folderOf(t),
  })
  t.deepEqual([figures, problems], [[], []])
  t.regex(absent[0].why, /no traces/)
})

test.serial('a contender that fails in a workload is named, and the next workload goes on', async (t) => {
  // No segment is as small as that.
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
    `a run that gets a ${signal} leaves nothing behind${signal === 'SIGKILL' ? ' that the next one does not remove' : ''}`,
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
