/**
 * The commands for entries: `get`, `set`, `del`, `keys`, `ttl`, `tags`, `clear`.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { SharedCache, Stats } from '../../index.ts'
import { ended, json, lines, run, start } from '../helpers/command-line.ts'
import { within } from '../helpers/eventually.ts'
import { openCache, temporaryDirectory } from '../helpers/segment.ts'

/** A cache with some entries. */
function filled(t: ExecutionContext): SharedCache {
  const cache = openCache(t)
  cache.set('user:1', { name: 'Ada' }, { tags: ['people'] })
  cache.set('user:2', 'text', { ttl: '1h', tags: ['people', 'texts'] })
  cache.set('n', 5)
  cache.namespace('sub').set('inner', [1, 2])
  return cache
}

/** The counts that a trace would change. */
function traces({ hits, misses, sets, deletes, evictions, expirations, entries }: Stats): object {
  return { hits, misses, sets, deletes, evictions, expirations, entries }
}

test.serial('get prints a value for people, raw, and as JSON with its metadata', async (t) => {
  const cache = filled(t)
  const { name } = cache
  t.like(await run(t, ['get', name, 'user:1']), { out: "{ name: 'Ada' }\n", err: '', code: 0 })
  t.like(await run(t, ['get', name, 'user:2', '--raw']), { out: 'text', code: 0 })
  t.like(await run(t, ['get', name, 'n', '--raw']), { out: '5\n', code: 0 })
  t.like(await run(t, ['get', name, 'inner', '--namespace', 'sub']), { out: '[ 1, 2 ]\n', code: 0 })
  const meta = await run(t, ['get', name, 'user:2', '-m'])
  t.regex(
    meta.out,
    /^'text'\n\nversion +\d+\nwritten .* ago\)\nexpires .* \(in (1h|59m \d+s)\)\nsize +\d+ B\nstale +no\n$/,
  )
  const document = await json(t, ['get', name, 'user:2'])
  t.like(document, {
    key: 'user:2',
    value: 'text',
    stale: false,
    version: cache.getEntry('user:2', { peek: true })?.version,
  })
  t.true((document['expiresAt'] as number) > Date.now())
  t.like(await json(t, ['get', name, 'n']), { value: 5, expiresAt: null })
})

test.serial('get, keys and verify show collections', async (t) => {
  const cache = openCache(t)
  cache.hash('user').setMany({ name: 'Ada', visits: 2 })
  cache.list('log').push('a', 'b')
  t.is((await run(t, ['get', cache.name, 'user'])).out, "Map(2) { 'name' => 'Ada', 'visits' => 2 }\n")
  t.is((await run(t, ['get', cache.name, 'log', '--raw'])).out, '["a","b"]\n')
  const listed = await run(t, ['keys', cache.name, '--long'])
  t.regex(listed.out, /^ +\d+ B .*user$/m)
  t.is((await run(t, ['verify', cache.name])).code, 0)
})

test.serial('get of a missing key is exit code 1, and null as JSON', async (t) => {
  const { name } = filled(t)
  t.like(await run(t, ['get', name, 'missing']), { out: '', err: 'There is no entry of "missing".\n', code: 1 })
  t.like(await run(t, ['get', name, 'missing', '--json']), { out: 'null\n', code: 1 })
})

test.serial('get writes bytes as they are', async (t) => {
  const cache = openCache(t)
  cache.set(Buffer.from([1, 255]), Buffer.from('bytes'))
  t.like(await run(t, ['get', cache.name, '01ff', '--hex', '--raw']), { out: 'bytes', code: 0 })
  t.like(await run(t, ['get', cache.name, '1ff', '--hex']), { code: 2 })
})

test.serial('values that JSON does not have go through get --json and set unchanged', async (t) => {
  const cache = openCache(t)
  const value = {
    date: new Date(5),
    map: new Map<unknown, unknown>([[1n, new Set(['a'])]]),
    numbers: [Number.NaN, -0, Infinity, undefined],
    bytes: Buffer.from([1, 2]),
    floats: new Float64Array([0.5, -1]),
    view: new Uint8Array([7]),
    pattern: /a+/giu,
    'odd name': { $type: 'mine', ['__proto__']: 1 },
  }
  cache.set('from', value)
  const { value: form } = await json(t, ['get', cache.name, 'from'])
  const stored = await run(t, ['set', cache.name, 'to', JSON.stringify(form)])
  t.is(stored.code, 0, stored.err)
  t.deepEqual(cache.get('to'), cache.get('from'))
})

test.serial('the JSON of values shows what cannot be given back: errors, holes and cycles', async (t) => {
  const cache = openCache(t)
  const cycle: unknown[] = [new Error('broken', { cause: 5 })]
  cycle[2] = cycle
  cache.set('cycle', cycle)
  const { value } = await json<{ value: [{ $type: string; value: object }, unknown, unknown] }>(t, [
    'get',
    cache.name,
    'cycle',
  ])
  t.like(value[0], { $type: 'Error', value: { name: 'Error', message: 'broken', cause: 5 } })
  t.deepEqual(value.slice(1), [{ $type: 'hole' }, { $type: 'cycle' }])
  const refused = await run(t, ['set', cache.name, 'no', JSON.stringify(value)])
  t.is(refused.code, 2)
  t.regex(refused.err, /"Error", which set does not accept/)
  t.false(cache.has('no'))
})

test.serial('set stores JSON as what it stands for, and other text as text', async (t) => {
  const cache = filled(t)
  const { name } = cache
  const set = async (...args: string[]): Promise<number | null> => (await run(t, ['set', name, ...args])).code
  t.is(await set('a', '{"x":[1,null]}'), 0)
  t.deepEqual(cache.get('a'), { x: [1, null] })
  t.is(await set('a', 'plain text'), 0)
  t.is(cache.get('a'), 'plain text')
  t.is(await set('--ttl', '1h', '--', '-a', '-5'), 0)
  t.is(cache.get('-a'), -5)
  t.is(await set('a', '17', '--text'), 0)
  t.is(cache.get('a'), '17')
  t.is(await set('a', '17', '--ttl', '10m', '--tags', 'x,y', '--stale', '1h'), 0)
  t.is(cache.get('a'), 17)
  t.true((cache.ttl('a') ?? 0) > 590_000 && (cache.ttl('a') ?? 0) <= 600_000)
  t.deepEqual([...cache.keys({ tags: ['y'] })], ['a'])
  t.is(await set('a', '18', '--keep-ttl'), 0)
  t.true((cache.ttl('a') ?? 0) > 500_000)
  t.is((await run(t, ['set', name, 'piped', '-'], { input: 'from a pipe' })).code, 0)
  t.is(cache.get('piped'), 'from a pipe')
  t.is(await set('in', '1', '-n', 'sub'), 0)
  t.is(cache.namespace('sub').get('in'), 1)
})

test.serial('set with a condition that does not hold is exit code 1', async (t) => {
  const cache = filled(t)
  const { name } = cache
  t.like(await run(t, ['set', name, 'n', '6', '--if', 'absent']), {
    code: 1,
    err: 'Not stored: --if absent did not hold.\n',
  })
  t.deepEqual(await json(t, ['set', name, 'new', '6', '--if', 'present']), { key: 'new', stored: false })
  t.deepEqual(await json(t, ['set', name, 'new', '6', '--if', 'absent']), { key: 'new', stored: true })
  t.is((await run(t, ['set', name, 'n', '6', '--if', 'maybe'])).code, 2)
  t.is((await run(t, ['set', name, 'n', '6', '--ttl', 'soon'])).code, 2)
  t.is((await run(t, ['set', name, 'n', '6', '--ttl', '0'])).code, 2)
  t.is(cache.get('n'), 5)
})

test.serial('del deletes keys, or all with a prefix', async (t) => {
  const cache = filled(t)
  const { name } = cache
  t.deepEqual(await json(t, ['del', name, 'n', 'missing']), { deleted: 1 })
  t.false(cache.has('n'))
  t.is((await run(t, ['del', name, 'missing'])).code, 1)
  t.like(await run(t, ['del', name, '--prefix', 'user:']), { out: 'Deleted 2 entries.\n', code: 0 })
  t.is(cache.size, 0)
  t.is(cache.namespace('sub').size, 1)
  t.is((await run(t, ['del', name])).code, 2)
  t.is((await run(t, ['del', name, 'a', '--prefix', 'b'])).code, 2)
  t.is((await run(t, ['del', name, '--prefix', ''])).code, 2)
})

test.serial('keys prints keys, with a prefix, with tags, with a limit, with sizes', async (t) => {
  const { name } = filled(t)
  const keys = async (...args: string[]): Promise<string[]> =>
    (await run(t, ['keys', name, ...args])).out.split('\n').filter(Boolean).toSorted()
  t.deepEqual(await keys(), ['n', 'user:1', 'user:2'])
  t.deepEqual(await keys('--prefix', 'user:'), ['user:1', 'user:2'])
  t.deepEqual(await keys('--tags', 'texts'), ['user:2'])
  t.is((await keys('--limit', '2')).length, 2)
  t.deepEqual(await keys('-n', 'sub'), ['inner'])
  t.regex((await keys('--long', '-p', 'user:2')).join(''), /^ +\d+ B +(1h|59m \d+s) {2}user:2$/)
  const long = lines<Record<string, unknown>>((await run(t, ['keys', name, '--long', '--json', '-p', 'user:'])).out)
  t.deepEqual(new Set(long.flatMap((line) => Object.keys(line))), new Set(['key', 'size', 'expiresAt', 'version']))
})

test.serial('keys cannot change the terminal, and JSON has them exactly', async (t) => {
  const cache = openCache(t)
  const keys = ['\u001B[31mred\n', 'a\\b', '\u202Eleft']
  for (const key of keys) cache.set(key, 1)
  cache.set(Buffer.from([255, 0]), 1)
  const { out } = await run(t, ['keys', cache.name])
  t.deepEqual(
    out.split('\n').filter(Boolean).toSorted(),
    ['\\u{1b}[31mred\\n', '\\u{202e}left', '\\xff\\x00', 'a\\\\b'].toSorted(),
  )
  const found = lines<unknown>((await run(t, ['keys', cache.name, '--json'])).out)
  for (const key of keys) t.true(found.includes(key), key)
  t.true(found.some((form) => JSON.stringify(form) === '{"$type":"Buffer","value":"/wA="}'))
})

test.serial('keys ends without an error when the reader of its pipe ends', async (t) => {
  const cache = openCache(t)
  cache.setMany(Array.from({ length: 20_000 }, (_, i) => [`a rather long key with the number ${i}`, i]))
  const child = start(t, ['keys', cache.name])
  const end = ended(child)
  child.stdout.once('data', () => child.stdout.destroy())
  t.like(await within('the end', end, 40_000), { err: '', code: 0 })
})

test.serial('ttl prints, sets and removes a lifetime', async (t) => {
  const cache = filled(t)
  const { name } = cache
  t.regex((await run(t, ['ttl', name, 'user:2'])).out, /^(1h|59m \d+s)\n$/)
  t.like(await run(t, ['ttl', name, 'n']), { out: 'never\n', code: 0 })
  t.like(await run(t, ['ttl', name, 'missing']), { out: '', code: 1 })
  t.like(await json(t, ['ttl', name, 'n']), { key: 'n', ttl: null })
  t.is((await run(t, ['ttl', name, 'n', '--set', '5m'])).code, 0)
  t.true((cache.ttl('n') ?? 0) <= 300_000)
  t.is((await run(t, ['ttl', name, 'n', '--set', 'never'])).code, 0)
  t.is(cache.ttl('n'), Infinity)
  t.is((await run(t, ['ttl', name, 'missing', '--set', '5m'])).code, 1)
})

test.serial('tags prints the keys of a tag, and invalidates it', async (t) => {
  const cache = filled(t)
  const { name } = cache
  const { out } = await run(t, ['tags', name, 'people'])
  t.deepEqual(out.split('\n').filter(Boolean).toSorted(), ['user:1', 'user:2'])
  t.like(await run(t, ['tags', name, 'texts', '--json']), { out: '"user:2"\n' })
  t.is((await run(t, ['tags', name, 'texts', '--stale'])).code, 2)
  t.deepEqual(await json(t, ['tags', name, 'texts', 'none', '--invalidate']), { invalidated: ['texts', 'none'] })
  t.deepEqual([cache.has('user:1'), cache.has('user:2')], [true, false])
  cache.set('old', 1, { tags: ['t'], stale: '1h' })
  t.is((await run(t, ['tags', name, 't', '--invalidate', '--stale'])).code, 0)
  t.is(cache.get('old'), undefined)
  t.like(await json(t, ['get', name, 'old', '--stale']), { value: 1, stale: true })
})

test.serial('clear ends all entries, or those of a namespace', async (t) => {
  const cache = filled(t)
  const { name } = cache
  t.like(await run(t, ['clear', name, '-n', 'sub']), { out: 'Cleared 1 entry.\n', code: 0 })
  t.deepEqual([cache.size, cache.namespace('sub').size], [3, 0])
  t.deepEqual(await json(t, ['clear', name]), { cleared: 3 })
  t.is(cache.size, 0)
})

test.serial('commands that read leave no trace', async (t) => {
  const cache = filled(t)
  const { name } = cache
  const before = traces(cache.stats())
  const ttl = cache.ttl('user:2') ?? 0
  const commands = [
    ['get', name, 'user:1'],
    ['get', name, 'missing', '--meta'],
    ['keys', name, '--long'],
    ['ttl', name, 'user:2'],
    ['tags', name, 'people'],
    ['stats', name],
    ['stats', name, '-n', 'sub'],
    ['locks', name],
    ['inspect', name],
    ['list'],
    ['doctor'],
    ['verify', name],
    ['watch', name, '--for', '50ms'],
    ['monitor', name, '--count', '1', '--interval', '50ms'],
    ['top', name, '--count', '1', '--interval', '50ms'],
  ]
  for (const args of commands) await run(t, args)
  t.deepEqual(traces(cache.stats()), before)
  t.true((cache.ttl('user:2') ?? 0) <= ttl)
  t.is(cache.stats().processes, 1)
})

test.serial('no command creates a segment or a namespace', async (t) => {
  const directory = temporaryDirectory(t)
  const place = ['--directory', directory]
  const all = [
    ['get', 'no', 'k'],
    ['set', 'no', 'k', '1'],
    ['del', 'no', 'k'],
    ['keys', 'no'],
    ['ttl', 'no', 'k'],
    ['tags', 'no', 't'],
    ['clear', 'no'],
    ['destroy', 'no'],
    ['stats', 'no'],
    ['locks', 'no'],
    ['inspect', 'no'],
    ['verify', 'no'],
    ['watch', 'no'],
    ['monitor', 'no'],
    ['top', 'no'],
  ]
  for (const args of all) {
    const { code, err } = await run(t, [...args, ...place, '--json'])
    t.is(code, 1, args.join(' '))
    t.is((JSON.parse(err) as { error: { code: string } }).error.code, 'ERR_NO_SEGMENT', args.join(' '))
  }
  t.deepEqual(await json(t, ['list', ...place]), [] as never)
  const cache = filled(t)
  t.is((await run(t, ['set', cache.name, 'k', '1', '-n', 'unknown'])).code, 1)
  t.deepEqual(cache.stats().namespaces, ['sub'])
})

test.serial('a value of another codec is an error that says so', async (t) => {
  const codec = { id: 100, encode: (value: unknown) => Buffer.from(String(value)), decode: String }
  const cache = openCache(t, { codec })
  cache.set('k', { x: 1 })
  const { err, code } = await run(t, ['get', cache.name, 'k'])
  t.is(code, 1)
  t.regex(err, /ERR_CODEC_MISMATCH/)
  t.like(lines<object>((await run(t, ['keys', cache.name, '--long', '--json'])).out)[0], { key: 'k' })
})

test.serial('commands on keys look into one version of the application, and stats lists all of them', async (t) => {
  const { name } = filled(t)
  const version = openCache(t, { name, version: 'v2' })
  version.set('user:1', 'of v2')
  t.like(await run(t, ['get', name, 'user:1', '--app-version', 'v2', '--raw']), { out: 'of v2', code: 0 })
  t.like(await run(t, ['get', name, 'user:1']), { out: "{ name: 'Ada' }\n", code: 0 })
  t.like(await run(t, ['keys', name, '--app-version', 'v2']), { out: 'user:1\n', code: 0 })
  t.like(await run(t, ['get', name, 'user:1', '--app-version', 'v3']), { code: 1 })
  t.regex((await run(t, ['stats', name])).out, /^versions +v2 \(1 process\)$/m)
  t.deepEqual(version.stats().versions, [{ name: 'v2', processes: 1 }])
})
