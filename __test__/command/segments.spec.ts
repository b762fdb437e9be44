/**
 * The commands for segments, beside programs that run, hang, or are dead: `list`, `inspect`, `stats`, `destroy`.
 */
import { chmodSync, closeSync, existsSync, openSync, renameSync, writeSync } from 'node:fs'
import test from 'ava'
import { segments } from '../../index.ts'
import { packageVersion } from '../../lib/native/addon.ts'
import { json, run } from '../helpers/command-line.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'
import { startLargeWriter, suspendInsideWrite } from '../helpers/suspended-writer.ts'
import { isSuspended, testIf, works } from '../helpers/system.ts'

/** Where the header of a segment has the version of its layout. */
const LAYOUT_AT = 8

interface Described {
  readonly name: string
  readonly entries: number
  readonly processes: readonly { pid: number; state: string; title: string | null }[]
  readonly health: { verdict: string; text: string; hint: string | null }
}

test.serial('list shows the segments of a folder, with their entries and processes', async (t) => {
  const directory = temporaryDirectory(t)
  t.like(await run(t, ['list', '-d', directory]), { out: `This user has no segment in ${directory}.\n`, code: 0 })
  const [a, b] = [openCache(t, { directory }), openCache(t, { directory })]
  a.set('k', 1)
  b.close()
  const { out, code } = await run(t, ['list', '--directory', directory])
  t.is(code, 0)
  t.regex(out, /^NAME +SIZE +TAKEN +ENTRIES +PROCESSES +AGE +HEALTH\n/)
  t.regex(out, new RegExp(`^${a.name} +8 MiB .* 1 +1 .* ok$`, 'm'))
  t.regex(out, new RegExp(`^${b.name} +8 MiB .* 0 +0 .* unused$`, 'm'))
  const all = await json<Described[]>(t, ['list', '-d', directory])
  t.deepEqual(
    all.map(({ name }) => name),
    [a.name, b.name].toSorted(),
  )
  t.like(
    all.find(({ name }) => name === a.name),
    { entries: 1, health: { verdict: 'ok', text: 'ok', hint: null } },
  )
  const { out: names } = await run(t, ['list', '--names', '-d', directory])
  t.deepEqual(names.trim().split('\n'), [a.name, b.name].toSorted())
})

test.serial('inspect shows sizes and processes of a segment, and attaches to none', async (t) => {
  const cache = openCache(t)
  cache.set('k', 1)
  const { out, code } = await run(t, ['inspect', cache.name])
  t.is(code, 0)
  for (const part of [
    'name',
    'health',
    'path',
    'created',
    'size',
    'taken',
    'entries',
    'used',
    'eviction',
    'shards',
    'layout',
  ]) {
    t.regex(out, new RegExp(`^${part} +\\S`, 'm'))
  }
  t.regex(out, new RegExp(`^ *${process.pid}  running  .*  ${packageVersion().replaceAll('.', '\\.')}  `, 'm'))
  const described = await json<Described>(t, ['inspect', cache.name])
  t.deepEqual(
    described.processes.map(({ pid, state }) => [pid, state]),
    [[process.pid, 'running']],
  )
  t.true(described.processes[0]?.title?.includes('node'))
})

test.serial('a name that does not exist is exit code 1, with similar names', async (t) => {
  const cache = openCache(t)
  const { err, code } = await run(t, ['inspect', `${cache.name}-`])
  t.is(code, 1)
  t.true(err.includes(cache.name), err)
  t.regex(err, /ERR_NO_SEGMENT/)
})

test.serial('stats are those of cache.stats()', async (t) => {
  const cache = openCache(t)
  cache.set('k', 1)
  cache.get('k')
  cache.get('missing')
  cache.namespace('sub').set('k', 1)
  const stats = await json(t, ['stats', cache.name])
  t.like(stats, { hits: 1, misses: 1, sets: 2, entries: 2, processes: 2, namespaces: ['sub'] })
  t.deepEqual(Object.keys(stats).toSorted(), Object.keys(cache.stats()).toSorted())
  t.like(await json(t, ['stats', cache.name, '-n', 'sub']), { sets: 1, entries: 1 })
  const { out } = await run(t, ['stats', cache.name])
  t.regex(out, /^hits +1 \(50\.0 %\)$/m)
  t.regex(out, /^namespaces +sub$/m)
})

test.serial('every reading command works beside a program that is suspended, and inspect says so', async (t) => {
  const name = segmentName(t)
  const app = fork(t, 'operations', { name, size: SMALL })
  await app.next()
  await app.ask(['set', 'k', 'value'])
  app.kill('SIGSTOP')
  await isSuspended(app.process.pid)
  const inspected = await run(t, ['inspect', name])
  t.is(inspected.code, 1)
  t.regex(inspected.out, new RegExp(`kill -CONT ${app.process.pid}`))
  t.regex(inspected.out, new RegExp(`^ *${app.process.pid}  suspended  `, 'm'))
  t.like(await json<Described>(t, ['inspect', name]), { health: { verdict: 'problem', text: '1 suspended' } })
  t.regex((await run(t, ['list'])).out, new RegExp(`^${name} .*1 suspended$`, 'm'))
  t.like(await run(t, ['get', name, 'k']), { out: "'value'\n", code: 0 })
  t.like(await run(t, ['keys', name]), { out: 'k\n', code: 0 })
  t.like(await json(t, ['stats', name]), { entries: 1, processes: 2 })
  t.like(await json(t, ['verify', name]), { entries: 1, unchecked: null })
  t.is((await run(t, ['top', name, '--count', '1', '--interval', '50ms'])).code, 0)
  t.is((await run(t, ['set', name, 'k', 'other'])).code, 0, 'it is not inside a write')
  app.kill('SIGCONT')
  t.deepEqual(await app.ask(['get', 'k']), { value: 'other' })
  t.like(await json<Described>(t, ['inspect', name]), { health: { verdict: 'ok' } })
})

test.serial(
  'beside a program that is suspended inside a write, reads go on, and a write says what to do',
  async (t) => {
    t.timeout(90_000)
    const name = segmentName(t)
    const options = { name, size: SMALL } as const
    const cache = openCache(t, { ...options, writeTimeout: 20 })
    cache.set('kept', 'value')
    const writer = await startLargeWriter(t, options)
    const { key } = await suspendInsideWrite(writer, cache)
    t.like(await run(t, ['get', name, 'kept']), { out: "'value'\n", code: 0 })
    const refused = await run(t, ['set', name, key, '1'])
    t.is(refused.code, 1)
    t.regex(refused.err, /ERR_BUSY/)
    t.regex(refused.err, /SIGSTOP/)
    const verified = await json<{ unchecked: string | null }>(t, ['verify', name])
    t.regex(verified.unchecked ?? '', /ERR_BUSY/)
    writer.kill()
    await writer.exit
    t.is((await run(t, ['set', name, key, '1'])).code, 0, 'the command repairs what a dead process has left')
    t.is(cache.get(key), 1)
  },
)

test.serial('the segment of killed processes can be read, and destroyed', async (t) => {
  const name = segmentName(t)
  const app = fork(t, 'operations', { name, size: SMALL })
  await app.next()
  await app.ask(['set', 'k', { left: true }])
  app.kill()
  await app.exit
  t.like(await run(t, ['get', name, 'k']), { out: '{ left: true }\n', code: 0 })
  const inspected = await run(t, ['inspect', name])
  t.is(inspected.code, 0)
  t.regex(inspected.out, /^health +unused$/m)
  t.regex(inspected.out, /No process has it open\.\n$/)
  t.like(await run(t, ['destroy', name]), { out: `Destroyed "${name}".\n`, code: 0 })
  t.is(segments.inspect(name), undefined)
  t.is((await run(t, ['destroy', name])).code, 1)
})

test.serial('destroy refuses while processes use the segment, and names them', async (t) => {
  const cache = openCache(t)
  cache.set('k', 1)
  const { code, err } = await run(t, ['destroy', cache.name])
  t.is(code, 1)
  t.regex(err, /ERR_SEGMENT_IN_USE/)
  t.true(err.includes(`${process.pid} `), err)
  t.is(cache.get('k'), 1)
  t.deepEqual(await json(t, ['destroy', cache.name, '--force']), { destroyed: true })
  t.is(cache.get('k'), undefined)
})

test.serial('a segment of another version is listed and explained', async (t) => {
  const directory = temporaryDirectory(t)
  const cache = openCache(t, { directory })
  const { path, layoutVersion } = segments.inspect(cache.name, { directory }) ?? { path: '', layoutVersion: 0 }
  cache.close()
  const newer = path.replace(`.${layoutVersion}.`, `.${layoutVersion + 1}.`)
  renameSync(path, newer)
  // The version is in the header as well.
  const file = openSync(newer, 'r+')
  writeSync(file, Uint32Array.of(layoutVersion + 1), 0, 4, LAYOUT_AT)
  closeSync(file)
  const place = ['--directory', directory]
  t.regex((await run(t, ['list', ...place])).out, new RegExp(`unreadable \\(layout ${layoutVersion + 1}\\)`))
  const inspected = await run(t, ['inspect', cache.name, ...place])
  t.is(inspected.code, 1)
  t.regex(inspected.out, /Another version of this package made it/)
  const { code, err } = await run(t, ['get', cache.name, 'k', ...place])
  t.is(code, 1)
  t.regex(err, /ERR_SEGMENT_VERSION/)
  t.true(existsSync(newer), 'nothing was removed')
})

test.serial('resize gives a segment in use another size', async (t) => {
  const cache = openCache(t, { size: '4mb' })
  cache.set('k', 'value')
  const { out, code } = await run(t, ['resize', cache.name, '16mb'])
  t.is(code, 0)
  t.regex(
    out,
    new RegExp(`^Resized "${cache.name}" from 4 MiB to 16 MiB: 1 entry, none was evicted\\.\nWrites waited `),
  )
  t.is(cache.get('k'), 'value')
  t.like(await run(t, ['resize', cache.name, '16MB']), { out: `"${cache.name}" has 16 MiB already.\n`, code: 0 })
  const resized = await json<object>(t, ['resize', cache.name, String(4 * 2 ** 20)])
  t.like(resized, { from: 16 * 2 ** 20, to: 4 * 2 ** 20, entries: 1, evicted: 0 })
  t.is(segments.inspect(cache.name)?.size, 4 * 2 ** 20)

  const wrong = await run(t, ['resize', cache.name, '16 m'])
  t.is(wrong.code, 2)
  t.regex(wrong.err, /the size is "16 m", not a size/)
  const small = await run(t, ['resize', cache.name, '1mb'])
  t.is(small.code, 2)
  t.regex(small.err, /it must be 2097152 \(2mb\)/)
  const missing = await run(t, ['resize', `${cache.name}-not`, '16mb'])
  t.is(missing.code, 1)
  t.regex(missing.err, /ERR_NO_SEGMENT/)
})

test.serial('a file with a wrong mode in the place of a segment is explained', async (t) => {
  const directory = temporaryDirectory(t)
  const cache = openCache(t, { directory })
  const { path } = segments.inspect(cache.name, { directory }) ?? { path: '' }
  cache.close()
  chmodSync(path, 0o644)
  const { code, err } = await run(t, ['get', cache.name, 'k', '--directory', directory])
  chmodSync(path, 0o600)
  t.is(code, 1)
  t.regex(err, /ERR_PERMISSION/)
  t.true(err.includes(path), err)
})

testIf(works('unshare', '-pf', '--kill-child', 'true')).serial(
  'a process in another PID namespace is unseen, and no other process is shown in its place',
  async (t) => {
    const name = segmentName(t)
    const app = fork(t, 'operations', { name, size: SMALL }, { wrapper: ['unshare', '-pf', '--kill-child'] })
    await app.next()
    const { processes, health } = await json<Described>(t, ['inspect', name])
    t.is(processes.length, 1)
    t.like(processes[0], { state: 'unseen', title: null })
    t.is(health.verdict, 'ok')
    t.true(
      await eventually('it answers', async () => (await app.ask<{ value: unknown }>(['ttl', 'k'])).value === undefined),
    )
  },
)
