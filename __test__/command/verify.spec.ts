/**
 * `verify` finds what is damaged, and `bench` measures.
 */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import test from 'ava'
import { segments } from '../../index.ts'
import { json, run } from '../helpers/command-line.ts'
import { openCache, temporaryDirectory } from '../helpers/segment.ts'

test.serial('verify reads all entries of all namespaces', async (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 1000; i++) cache.set(`k${i}`, { i })
  cache.namespace('sub').set('inner', new Map([[1, 2]]))
  const codec = { id: 100, encode: (value: unknown) => Buffer.from(String(value)), decode: String }
  openCache(t, { name: cache.name, codec }).set('foreign', { a: 1 })
  const report = await json(t, ['verify', cache.name])
  t.deepEqual(report, { entries: 1002, foreign: 1, damagedEntries: 0, damaged: [], structures: [], unchecked: null })
  t.like(await run(t, ['verify', cache.name]), {
    out: 'Read 1,002 entries, 1 of another codec.\nAll entries and structures are right.\n',
    code: 0,
  })
})

/** Overwrites bytes of a file in place, under those that have it mapped. */
function overwrite(path: string, needle: string, before: number, length: number): void {
  const at = readFileSync(path).indexOf(needle)
  if (at < 0) throw new Error(`${needle} is not there`)
  const file = openSync(path, 'r+')
  writeSync(file, Buffer.alloc(length, 0xff), 0, length, at - before)
  closeSync(file)
}

test.serial('verify finds a damaged value', async (t) => {
  const directory = temporaryDirectory(t)
  const cache = openCache(t, { directory })
  cache.namespace('sub').set('broken', new Map([['needle-in-the-value', 1]]))
  cache.set('fine', 1)
  const { path } = segments.inspect(cache.name, { directory }) ?? { path: '' }
  overwrite(path, 'needle-in-the-value', 4, 4)
  const report = await json(t, ['verify', cache.name, '--directory', directory])
  t.like(report, {
    entries: 2,
    damagedEntries: 1,
    damaged: [{ namespace: 'sub', key: 'broken', code: 'ERR_SEGMENT_CORRUPT' }],
  })
  const { out, code } = await run(t, ['verify', cache.name, '--directory', directory])
  t.is(code, 1)
  t.regex(out, /^damaged: sub: broken \(ERR_SEGMENT_CORRUPT\)$/m)
})

test.serial('verify finds a damaged structure', async (t) => {
  const directory = temporaryDirectory(t)
  const cache = openCache(t, { directory })
  cache.set('needle-in-the-key', 'value')
  cache.set('fine', 1)
  const { path } = segments.inspect(cache.name, { directory }) ?? { path: '' }
  overwrite(path, 'needle-in-the-key', 16, 16)
  const { structures } = await json<{ structures: string[] }>(t, ['verify', cache.name, '--directory', directory])
  t.true(structures.length > 0)
  t.is((await run(t, ['verify', cache.name, '--directory', directory])).code, 1)
})

test.serial('bench measures every call, and leaves nothing', async (t) => {
  const directory = temporaryDirectory(t)
  const args = ['bench', '--seconds', '1', '--no-redis', '--directory', directory]
  const { redis, results } = await json<{
    redis: boolean
    results: { subject: string; operation: string; callsPerSecond: number }[]
  }>(t, args)
  t.false(redis)
  t.deepEqual(
    results.map(({ operation }) => operation),
    ['set, 100 bytes', 'get, 100 bytes', 'set, object of 1 KiB', 'get, object of 1 KiB', 'getOrSet, hit', 'incr'],
  )
  t.true(results.every(({ subject, callsPerSecond }) => subject === 'cache-machine' && callsPerSecond > 100))
  t.deepEqual(segments.list({ directory }), [])
  t.is((await run(t, ['bench', '--seconds', '61'])).code, 2)
})
