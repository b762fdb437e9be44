/**
 * The event log: the option `log` of `open`.
 */
import { spawnSync } from 'node:child_process'
import test from 'ava'
import { CacheError, open, segments } from '../../index.ts'
import type { LogEntry } from '../../index.ts'
import { EventLog } from '../../lib/segment/event-log.ts'
import { eventually } from '../helpers/eventually.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

/** Entries are written in a microtask after the call. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test('opening and closing a cache and its namespaces are entries', async (t) => {
  const entries: LogEntry[] = []
  const cache = openCache(t, { log: (entry) => entries.push(entry) })
  t.deepEqual(entries, [], 'no call runs the function')
  await turn()
  cache.namespace('sessions')
  cache.close()
  await turn()
  t.deepEqual(
    entries.map(({ event, level, namespace }) => [event, level, namespace]),
    [
      ['open', 'info', ''],
      ['open', 'info', 'sessions'],
      ['close', 'info', 'sessions'],
      ['close', 'info', ''],
    ],
  )
  for (const { cache: name, pid, time, suppressed, message } of entries) {
    t.deepEqual([name, pid, suppressed], [cache.name, process.pid, 0])
    t.is(new Date(time).toISOString(), time)
    t.regex(message, new RegExp(name))
  }
  t.deepEqual(JSON.parse(JSON.stringify(entries)), entries, 'they are JSON')
})

test('a lost segment and an entry of another codec are entries, with keys and codes', async (t) => {
  const entries: LogEntry[] = []
  const cache = openCache(t, { log: (entry) => entries.push(entry) })
  const { name } = cache
  const codec = { id: 7, encode: (value: unknown) => Buffer.from(String(value)), decode: String }
  const other = open({ name, codec })
  t.teardown(() => other.close())
  other.set('a', { a: 1 })
  t.is(cache.get('a'), undefined)
  await turn()
  t.like(entries.at(-1), { event: 'mismatch', level: 'warn', key: 'a', code: 'ERR_CODEC_MISMATCH', suppressed: 0 })

  segments.destroy(name, { force: true })
  cache.set('b', 1)
  await eventually('the loss is an entry', () => entries.some(({ event }) => event === 'detached'))
  t.like(
    entries.find(({ event }) => event === 'detached'),
    { level: 'warn', cache: name },
  )
})

test('a value that cannot be stored is an entry', async (t) => {
  const entries: LogEntry[] = []
  const cache = openCache(t, { log: (entry) => entries.push(entry) })
  await cache.getOrSet(Buffer.from([255, 1]), () => () => 1)
  await turn()
  t.like(entries.at(-1), { event: 'unstored', level: 'warn', key: 'hex:ff01', code: 'ERR_UNSERIALIZABLE' })
})

test('an event has one entry a second, which counts those that were left out', async (t) => {
  const entries: LogEntry[] = []
  let now = 5000
  const log = new EventLog(
    (entry) => entries.push(entry),
    { cache: 'app', namespace: 'n' },
    () => now,
  )
  for (let i = 0; i < 4; i++) log.write('damage', { message: `${i}`, shard: 2, dropped: i })
  log.write('repaired', { message: 'of its own', shard: 2, dropped: 0 })
  now += 999
  log.write('damage', { message: 'too early' })
  now += 1
  log.write('damage', { message: 'again' })
  await turn()
  t.deepEqual(
    entries.map(({ event, level, message, suppressed }) => [event, level, message, suppressed]),
    [
      ['damage', 'error', '0', 0],
      ['repaired', 'info', 'of its own', 0],
      ['damage', 'error', 'again', 4],
    ],
  )
  t.like(entries[0], { cache: 'app', namespace: 'n', shard: 2, dropped: 0 })
})

test("'stderr' writes one line of JSON for each entry", (t) => {
  const name = segmentName(t)
  const program = `
    const { open } = require(${JSON.stringify(new URL('../../dist/index.cjs', import.meta.url).pathname)})
    open({ name: '${name}', size: '2mb', log: 'stderr' }).close()
  `
  const { stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' })
  const lines = stderr.trim().split('\n')
  t.deepEqual(
    lines.map((line) => (JSON.parse(line) as LogEntry).event),
    ['open', 'close'],
  )
})

test('another log is refused', (t) => {
  for (const log of [true, 'stdout', {}, null]) {
    const error = t.throws(() => open({ name: segmentName(t), log: log as never }), { instanceOf: CacheError })
    t.like(error, { code: 'ERR_INVALID_ARGUMENT' })
    t.regex(error.message, /log must be a function or 'stderr'/)
  }
})
