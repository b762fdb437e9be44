/**
 * `snapshot` and `restore` of the command.
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { open, segments } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { json, run } from '../helpers/command-line.ts'
import { openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'

const test = onNative('another process')

test.serial('a snapshot is restored into a new segment, with namespaces and lifetimes', async (t) => {
  const file = join(temporaryDirectory(t), 'app.snapshot')
  const name = segmentName(t)
  const cache = open({ name, size: '4mb' })
  cache.set('a', { n: 1 }, { ttl: '1h', tags: ['x'] })
  cache.namespace('sessions').set('b', 2)
  const { hits, misses } = cache.stats()
  const { out, code } = await run(t, ['snapshot', name, file])
  t.is(code, 0)
  t.regex(out, /^Wrote 2 entries to .*app\.snapshot: .* as .*, in .*\.\n$/)
  t.is(statSync(file).mode & 0o777, 0o600)
  t.like(cache.stats(), { hits, misses }, 'it leaves no trace')
  cache.close()
  segments.destroy(name)

  const again = open({ name, size: '8mb' })
  t.teardown(() => again.close())
  const restored = await run(t, ['restore', name, file])
  t.is(restored.code, 0, restored.err)
  t.regex(restored.out, /^Restored 2 of 2 entries of \d{4}-.*, in .*\.\n$/)
  t.deepEqual(again.get('a'), { n: 1 })
  t.true((again.ttl('a') ?? 0) <= 3_600_000)
  t.is(again.namespace('sessions').get('b'), 2)
  again.invalidateTags(['x'])
  t.is(again.get('a'), undefined)
})

test.serial('merging keeps what is there, --overwrite and --replace do not', async (t) => {
  const file = join(temporaryDirectory(t), 'app.snapshot')
  const cache = openCache(t)
  const { name } = cache
  cache.set('a', 'old')
  t.like(await json(t, ['snapshot', name, file, '--uncompressed']), { path: file, entries: 1 })
  cache.set('a', 'new')
  cache.set('b', 'other')
  const kept = await run(t, ['restore', name, file])
  t.is(kept.code, 0)
  t.regex(kept.out, /^1 entry: kept what is there$/m)
  t.is(cache.get('a'), 'new')
  t.like(await json(t, ['restore', name, file, '--overwrite']), { entries: 1, restored: 1, deleted: 0 })
  t.is(cache.get('a'), 'old')
  t.is(cache.get('b'), 'other')
  const replaced = await run(t, ['restore', name, file, '--replace'])
  t.regex(replaced.out, /^Deleted 1 entry that the file does not have\.$/m)
  t.is(cache.get('b'), undefined)
})

test.serial('one namespace is written and restored alone', async (t) => {
  const file = join(temporaryDirectory(t), 'sessions.snapshot')
  const cache = openCache(t)
  cache.set('a', 1)
  cache.namespace('sessions').set('b', 2)
  t.like(await json(t, ['snapshot', cache.name, file, '-n', 'sessions']), { entries: 1 })
  cache.clear()
  const wrong = await run(t, ['restore', cache.name, file])
  t.is(wrong.code, 1)
  t.regex(wrong.err, /ERR_SNAPSHOT_SCOPE/)
  t.is((await run(t, ['restore', cache.name, file, '-n', 'sessions'])).code, 0)
  t.is(cache.namespace('sessions').get('b'), 2)
})

test.serial('a segment that is too small is exit code 1, and a damaged file changes nothing', async (t) => {
  const directory = temporaryDirectory(t)
  const file = join(directory, 'app.snapshot')
  const large = openCache(t, { size: '8mb' })
  for (let i = 0; i < 200; i++) large.set(`k${i}`, Buffer.alloc(20_000, i))
  await run(t, ['snapshot', large.name, file])
  const small = openCache(t, { size: '2mb', eviction: 'none' })
  const { code, out } = await run(t, ['restore', small.name, file])
  t.is(code, 1)
  t.regex(out, /^\d+ entries: without room$/m)

  const bytes = readFileSync(file)
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1
  writeFileSync(file, bytes)
  const before = small.size
  const damaged = await run(t, ['restore', small.name, file, '--replace'])
  t.is(damaged.code, 1)
  t.regex(damaged.err, /ERR_SNAPSHOT_CORRUPT/)
  t.is(small.size, before)
})

test.serial('neither command creates a segment or a file', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t)
  for (const command of ['snapshot', 'restore']) {
    const { code, err } = await run(t, [command, name, join(directory, 'x')])
    t.is(code, 1)
    t.regex(err, /ERR_NO_SEGMENT/)
  }
  t.is(segments.inspect(name), undefined)
  t.throws(() => statSync(join(directory, 'x')), { code: 'ENOENT' })
  const cache = openCache(t)
  const { code, err } = await run(t, ['restore', cache.name, join(directory, 'x')])
  t.is(code, 1)
  t.regex(err, /ERR_SNAPSHOT_FILE/)
})
