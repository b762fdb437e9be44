/**
 * The parts of the module of PM2: settings, metrics, messages, and the decisions of the watchdog.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { SegmentInfo, Stats } from '../../index.ts'
import { Pm2Messages } from '../../lib/pm2/messages.ts'
import { metricsOf, metricsOfGone } from '../../lib/pm2/metrics.ts'
import { Watchdog, readWorker } from '../../lib/pm2/private-memory.ts'
import { readSettings } from '../../lib/pm2/settings.ts'
import { onNative } from '../helpers/engine.ts'
import { segmentName } from '../helpers/segment.ts'

const INVALID = { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' }

test('settings have defaults, and the forms of PM2', (t) => {
  const defaults = {
    segments: undefined,
    place: { directory: undefined, group: undefined },
    interval: 2000,
    maxPrivateMemory: undefined,
    killTimeout: 30_000,
  }
  t.deepEqual(readSettings(undefined), defaults)
  t.deepEqual(readSettings('{"segments":"all","max_private_memory":"","module_conf":{}}'), defaults)
  const given = {
    segments: 'a, b',
    directory: '/x',
    group: 'www',
    interval: '5s',
    max_private_memory: '300M',
    kill_timeout: '1m',
  }
  t.deepEqual(readSettings(JSON.stringify(given)), {
    segments: ['a', 'b'],
    place: { directory: '/x', group: 'www' },
    interval: 5000,
    maxPrivateMemory: 300 * 2 ** 20,
    killTimeout: 60_000,
  })
  t.is(readSettings('{"group":"33"}').place.group, 33)
  for (const size of ['1.5G', '1.5gb', '1536mb']) {
    t.is(readSettings(JSON.stringify({ max_private_memory: size })).maxPrivateMemory, 1.5 * 2 ** 30)
  }
})

for (const [what, text] of Object.entries({
  'no JSON': '{',
  'no object': '5',
  'an unknown name': '{"segment":"a"}',
  'no duration': '{"interval":"often"}',
  'a duration that is too short': '{"interval":"10ms"}',
  'no size': '{"max_private_memory":"much"}',
  'a size of 0': '{"max_private_memory":"0M"}',
})) {
  test(`settings are refused: ${what}`, (t) => void t.throws(() => readSettings(text), INVALID))
}

const reading = (counts: Partial<Stats>): { info: SegmentInfo; stats: Stats } => ({
  info: { name: 'app' } as SegmentInfo,
  stats: {
    hits: 0,
    misses: 0,
    sets: 0,
    evictions: 0,
    expirations: 0,
    entries: 7,
    usedBytes: 3 * 2 ** 20,
    capacityBytes: 2 ** 26,
    processes: 2,
    ...counts,
  } as Stats,
})

test('metrics are rates since the last reading, and 0 for the first one', (t) => {
  const first = { at: 1000, reading: reading({ hits: 100, misses: 300 }) }
  t.like(metricsOf(first, undefined), {
    'app: hit ratio': { value: '-' },
    'app: reads': { value: 0, unit: '/s' },
    'app: entries': { value: 7 },
    'app: memory': { value: '3.0', unit: 'MiB of 64.0' },
    'app: processes': { value: 2 },
  })
  const second = { at: 3000, reading: reading({ hits: 175, misses: 325, sets: 8, evictions: 4, expirations: 2 }) }
  t.like(metricsOf(second, first), {
    'app: hit ratio': { value: '75.0', unit: '%' },
    'app: reads': { value: 50, unit: '/s' },
    'app: writes': { value: 4, unit: '/s' },
    'app: evictions': { value: 2, unit: '/s' },
    'app: expirations': { value: 1, unit: '/s' },
  })
})

test('the metrics of a segment that was made anew begin again', (t) => {
  const old = { at: 1000, reading: reading({ hits: 1000, misses: 10, sets: 5 }) }
  const metrics = metricsOf({ at: 2000, reading: reading({ hits: 3, misses: 1 }) }, old)
  t.like(metrics, { 'app: hit ratio': { value: '-' }, 'app: reads': { value: 0 }, 'app: writes': { value: 0 } })
})

test('the metrics of a segment that is gone say so', (t) => {
  t.deepEqual(metricsOfGone('app', ['segments', 'app: reads', 'app2: reads']), { 'app: reads': { value: 'gone' } })
})

test('messages announce actions, show metrics, and answer each call', (t) => {
  const sent: object[] = []
  let receive: (message: unknown) => void = () => t.fail('nothing listens')
  const channel = {
    send: (message: object) => sent.push(message),
    on: (_: 'message', listener: (message: unknown) => void) => (receive = listener),
  }
  const messages = new Pm2Messages(channel, {
    echo: (argument) => `got ${argument}`,
    fail() {
      throw new CacheError('ERR_BUSY', 'It is busy', { hint: 'Wait.' })
    },
  })
  messages.show({ reads: { value: 1, unit: '/s' } })
  for (const message of ['echo', { msg: 'echo', opts: 'app' }, { msg: 'fail' }, { msg: 'other' }, null, 5]) {
    receive(message)
  }
  t.deepEqual(sent, [
    { type: 'axm:action', data: { action_name: 'echo', action_type: 'custom' } },
    { type: 'axm:action', data: { action_name: 'fail', action_type: 'custom' } },
    { type: 'axm:monitor', data: { reads: { value: 1, unit: '/s' } } },
    { type: 'axm:reply', data: { action_name: 'echo', return: 'got ' } },
    { type: 'axm:reply', data: { action_name: 'echo', return: 'got app' } },
    { type: 'axm:reply', data: { action_name: 'fail', return: 'It is busy. Wait.' } },
  ])
})

test('the watchdog restarts the largest worker that was above the limit twice, one at a time', (t) => {
  const watchdog = new Watchdog(100, 10_000)
  const workers = (...sizes: number[]): { pid: number; privateMemory: number }[] =>
    sizes.flatMap((privateMemory, pid) => (privateMemory === 0 ? [] : [{ pid, privateMemory }]))
  t.is(watchdog.next(workers(50, 150, 300), 0), undefined, 'one reading is not enough')
  t.is(watchdog.next(workers(150, 50, 100), 1), undefined, 'and neither are readings of different workers')
  t.is(watchdog.next(workers(50, 150, 300), 2), undefined)
  t.deepEqual(watchdog.next(workers(50, 150, 300), 3), { pid: 2, privateMemory: 300, signal: 'SIGINT' })
  t.is(watchdog.next(workers(50, 150, 300), 4), undefined, 'it is ending')
  t.deepEqual(watchdog.next(workers(50, 150, 0), 5), { pid: 1, privateMemory: 150, signal: 'SIGINT' })
  t.is(watchdog.next(workers(50, 150), 10_004), undefined)
  t.deepEqual(watchdog.next(workers(50, 150), 10_005), { pid: 1, privateMemory: 150, signal: 'SIGKILL' })
  t.is(watchdog.next(workers(50, 150), 30_000), undefined, 'a signal is sent once')
})

onNative('another process')('private memory is that of a child, without pages of a segment', async (t) => {
  const mebibyte = 2 ** 20
  const program = `
    const { open } = require(${JSON.stringify(new URL('../../dist/index.cjs', import.meta.url).pathname)})
    const cache = open({ name: '${segmentName(t)}', size: '64mb', near: false })
    globalThis.own = Buffer.alloc(${64 * mebibyte}, 1)
    for (let i = 0; i < 40; i++) cache.set('k' + i, globalThis.own.subarray(0, ${mebibyte}))
    process.stdout.write(String(process.memoryUsage().rss))
    setInterval(() => {}, 1000)
  `
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [resident] = (await once(child.stdout, 'data')) as [Buffer]
  const pid = child.pid as number
  const privateMemory = readWorker(pid, process.pid)?.privateMemory ?? 0
  t.true(privateMemory > 64 * mebibyte)
  t.true(privateMemory < Number(String(resident)) - 40 * mebibyte)
  t.is(readWorker(pid, process.ppid), undefined, 'a child of another process')
  child.kill('SIGKILL')
  await once(child, 'exit')
  t.is(readWorker(pid, process.pid), undefined, 'a process that has ended')
})
