/**
 * Damaged, hostile and unreachable files of snapshots: each is refused with a code and changes nothing.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, readdirSync, readlinkSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import { CacheError } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { FORMAT_VERSION, FrameKind, PREAMBLE_BYTES, RecordAt, frameOf, preamble } from '../helpers/internals.ts'
import { openCache, smallFileSystem, temporaryDirectory } from '../helpers/segment.ts'
import { canMount, testIf } from '../helpers/system.ts'

interface Scene {
  readonly cache: SharedCache
  readonly path: string
  readonly bytes: Buffer
}

/** A cache with a snapshot of its entries, and one entry that is newer. */
async function scene(t: ExecutionContext): Promise<Scene> {
  const path = join(temporaryDirectory(t), 'cache.snapshot')
  const cache = openCache(t)
  for (let i = 0; i < 40; i++) cache.set(`k${i}`, { i, text: 'some text '.repeat(i) }, { tags: ['red'], ttl: '1d' })
  cache.namespace('x').set('bytes', Buffer.alloc(3000, 1))
  await cache.snapshot(path)
  cache.set('newer', 1)
  return { cache, path, bytes: readFileSync(path) }
}

const REFUSALS = new Set(['ERR_SNAPSHOT_CORRUPT', 'ERR_SNAPSHOT_VERSION'])

/** Restores bytes that are no sound snapshot: refused, with nothing changed. */
async function refused(t: ExecutionContext, { cache, path }: Scene, bytes: Buffer): Promise<CacheError> {
  writeFileSync(path, bytes)
  const before = [...cache.keys()].length
  const error = await t.throwsAsync(cache.restore(path, { mode: 'replace' }), { instanceOf: CacheError })
  t.true(REFUSALS.has((error as CacheError).code), String(error))
  t.is([...cache.keys()].length, before)
  t.is(cache.get('newer'), 1)
  return error as CacheError
}

test('a file with any flipped bit is refused', async (t) => {
  const place = await scene(t)
  const bit = fc.nat(place.bytes.length * 8 - 1)
  await fc.assert(
    fc.asyncProperty(bit, async (at) => {
      const bytes = Buffer.from(place.bytes)
      bytes[at >> 3] = (bytes[at >> 3] as number) ^ (1 << (at & 7))
      await refused(t, place, bytes)
    }),
    { numRuns: 200 },
  )
})

test('a file that is cut off anywhere is refused', async (t) => {
  const place = await scene(t)
  await fc.assert(
    fc.asyncProperty(fc.nat(place.bytes.length - 1), async (length) => {
      await refused(t, place, place.bytes.subarray(0, length))
    }),
    { numRuns: 100 },
  )
})

test('bytes behind the end, frames twice, frames left out and frames in another order are refused', async (t) => {
  const place = await scene(t)
  const { bytes } = place
  const frames: Buffer[] = []
  for (let at = PREAMBLE_BYTES; at < bytes.length;) {
    const end = at + 24 + bytes.readUInt32LE(at + 8)
    frames.push(bytes.subarray(at, end))
    at = end
  }
  const front = bytes.subarray(0, PREAMBLE_BYTES)
  const [header, records, trailer] = frames as [Buffer, Buffer, Buffer]
  t.is(frames.length, 3)
  await refused(t, place, Buffer.concat([bytes, Buffer.from('x')]))
  await refused(t, place, Buffer.concat([bytes, trailer]))
  await refused(t, place, Buffer.concat([front, header, records, records, trailer]))
  await refused(t, place, Buffer.concat([front, header, trailer]))
  await refused(t, place, Buffer.concat([front, records, header, trailer]))
  await refused(t, place, Buffer.concat([front, header, records]))
})

test('any other file is refused', async (t) => {
  const place = await scene(t)
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      await refused(t, place, Buffer.from(bytes))
      await refused(t, place, Buffer.concat([preamble(), bytes, Buffer.of(1)]))
    }),
    { numRuns: 50 },
  )
  const next = Buffer.from(place.bytes)
  next.writeUInt16LE(FORMAT_VERSION + 1, PREAMBLE_BYTES - 2)
  t.is((await refused(t, place, next)).code, 'ERR_SNAPSHOT_VERSION')
})

/** A file with sound checksums around these documents and records. */
async function forged(header: unknown, records: Buffer, trailer: unknown): Promise<Buffer> {
  const json = (document: unknown): Buffer => Buffer.from(JSON.stringify(document))
  const frames = [
    await frameOf(FrameKind.Header, 0, json(header), 'none'),
    await frameOf(FrameKind.Records, 1, records, 'brotli'),
    await frameOf(FrameKind.Trailer, 2, json(trailer), 'none'),
  ]
  return Buffer.concat([preamble(), ...frames.flat()])
}

const HEADER = { createdAt: 1, packageVersion: '0.1.0', engine: 'native', name: 'app', namespace: '', codec: 'auto' }
const ROOT = { number: 0, name: '', life: [0, 0] }

function record(change: (bytes: Buffer) => void = () => undefined): Buffer {
  const bytes = Buffer.alloc(56 + 1 + 1)
  bytes.writeUInt32LE(1, RecordAt.ValueLength)
  bytes[RecordAt.Kind] = 1
  bytes.writeUInt16LE(1, RecordAt.KeyLength)
  bytes.write('kv', 56)
  change(bytes)
  return bytes
}

function trailerFor(records: Buffer, entries = 1): object {
  return { entries, bytes: records.length, version: 1, horizon: 0, namespaces: [ROOT] }
}

test('a forged file with sound checksums is believed only if all of it makes sense', async (t) => {
  const place = await scene(t)
  const sound = record()
  writeFileSync(place.path, await forged(HEADER, sound, trailerFor(sound)))
  t.like(await place.cache.restore(place.path), { entries: 1, restored: 1 })
  t.is(place.cache.get('k'), 'v')

  const wrong: readonly Buffer[] = [
    record((bytes) => bytes.writeUInt32LE(2 ** 32 - 1, RecordAt.ValueLength)),
    record((bytes) => bytes.writeUInt32LE(2, RecordAt.ValueLength)),
    record((bytes) => bytes.writeUInt16LE(0, RecordAt.KeyLength)),
    record((bytes) => bytes.writeUInt16LE(9000, RecordAt.KeyLength)),
    record((bytes) => (bytes[RecordAt.Kind] = 0)),
    record((bytes) => (bytes[RecordAt.Kind] = 10)),
    record((bytes) => (bytes[RecordAt.Kind] = 2)),
    record((bytes) => (bytes[RecordAt.Flags] = 128)),
    record((bytes) => (bytes[RecordAt.Keyspace] = 1)),
    record((bytes) => (bytes[RecordAt.TagCount] = 5)),
    record((bytes) => ((bytes[RecordAt.Flags] = 2), (bytes[RecordAt.TagCount] = 255))),
    record((bytes) => bytes.writeUInt16LE(7, RecordAt.Namespace)),
    record((bytes) => bytes.fill(255, RecordAt.Version, RecordAt.Version + 8)),
    record((bytes) => bytes.fill(255, RecordAt.Deadline, RecordAt.Deadline + 8)),
    record((bytes) => bytes.fill(255, RecordAt.Stale, RecordAt.Stale + 8)),
    sound.subarray(0, 40),
  ]
  for (const bytes of wrong) await refused(t, place, await forged(HEADER, bytes, trailerFor(bytes)))
  const right = trailerFor(sound) as Record<string, unknown>
  const documents: readonly [unknown, unknown][] = [
    [HEADER, { ...right, entries: 2 }],
    [HEADER, { ...right, bytes: 1 }],
    [HEADER, { ...right, version: 2 ** 53 - 1 }],
    [HEADER, { ...right, namespaces: [] }],
    [HEADER, { ...right, namespaces: [ROOT, ROOT] }],
    [HEADER, { ...right, namespaces: [{ ...ROOT, name: 'x' }] }],
    [HEADER, { ...right, namespaces: [ROOT, { number: 5000, name: 'x', life: [0, 0] }] }],
    [HEADER, { ...right, namespaces: [ROOT, { number: 1, name: 'x'.repeat(64), life: [0, 0] }] }],
    [HEADER, { ...right, namespaces: 'all' }],
    [HEADER, null],
    [HEADER, []],
    [{ ...HEADER, createdAt: -1 }, right],
    [{ ...HEADER, name: 5 }, right],
    [[], right],
  ]
  for (const [header, trailer] of documents) await refused(t, place, await forged(header, sound, trailer))
})

test('a frame that becomes larger than it says is refused without the memory for it', async (t) => {
  const place = await scene(t)
  const bomb = await frameOf(FrameKind.Records, 1, Buffer.alloc(1 << 20), 'brotli')
  const header = await frameOf(FrameKind.Header, 0, Buffer.from(JSON.stringify(HEADER)), 'none')
  const [head, body] = bomb as [Buffer, Buffer]
  const { crc32 } = process.getBuiltinModule('node:zlib')
  for (const length of [body.length, 1000, 2 ** 21, 2 ** 32 - 1]) {
    head.writeUInt32LE(length, 12)
    head.writeUInt32LE(crc32(head.subarray(0, 20)), 20)
    await refused(t, place, Buffer.concat([preamble(), ...header, head, body]))
  }
})

test('random bytes as records never crash: they are refused, or restored as what they say', async (t) => {
  const place = await scene(t)
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 400 }), fc.nat(3), async (noise, count) => {
      const records = Buffer.concat([...Array.from({ length: count }, () => record()), Buffer.from(noise)])
      writeFileSync(place.path, await forged(HEADER, records, trailerFor(records, count + 1)))
      try {
        t.is((await place.cache.restore(place.path)).entries, count + 1)
      } catch (error) {
        t.is((error as CacheError).code, 'ERR_SNAPSHOT_CORRUPT')
      }
    }),
    { numRuns: 100 },
  )
})

test('a path that cannot be a file is refused, for both directions', async (t) => {
  const folder = temporaryDirectory(t)
  const cache = openCache(t)
  mkdirSync(join(folder, 'folder'))
  writeFileSync(join(folder, 'file'), 'text')
  for (const path of ['missing/a', 'file/a', 'folder', 'x'.repeat(300)]) {
    await t.throwsAsync(cache.snapshot(join(folder, path)), { instanceOf: CacheError, code: 'ERR_SNAPSHOT_FILE' })
    await t.throwsAsync(cache.restore(join(folder, path)), { instanceOf: CacheError, code: 'ERR_SNAPSHOT_FILE' })
  }
  await t.throwsAsync(cache.restore(join(folder, 'none')), { code: 'ERR_SNAPSHOT_FILE' })
  t.is(spawnSync('mkfifo', [join(folder, 'pipe')]).status, 0)
  await t.throwsAsync(cache.snapshot(join(folder, 'pipe')), { code: 'ERR_SNAPSHOT_FILE' })
  await t.throwsAsync(cache.restore(join(folder, 'pipe')), { code: 'ERR_SNAPSHOT_FILE' })
  t.deepEqual(readdirSync(folder).toSorted(), ['file', 'folder', 'pipe'])
})

test('a link stays, and the file that it names is replaced', async (t) => {
  const folder = temporaryDirectory(t)
  const cache = openCache(t)
  const [link, target] = [join(folder, 'link'), join(folder, 'target')]
  writeFileSync(target, 'old')
  symlinkSync(target, link)
  cache.set('a', 1)
  await cache.snapshot(link)
  t.is(readlinkSync(link), target)
  t.like(await cache.restore(target), { entries: 1 })
})

testIf(canMount)('a full file system is ERR_NO_SPACE, and the old file stays', async (t) => {
  const folder = smallFileSystem(t, '1m')
  const path = join(folder, 'cache.snapshot')
  const cache = openCache(t)
  cache.set('a', 1)
  await cache.snapshot(path)
  const old = readFileSync(path)
  cache.set('large', Buffer.alloc(1_500_000, 1))
  const error = await t.throwsAsync(cache.snapshot(path, { compression: 'none' }), { instanceOf: CacheError })
  t.is((error as CacheError).code, 'ERR_NO_SPACE')
  t.deepEqual(readdirSync(folder), ['cache.snapshot'])
  t.deepEqual(readFileSync(path), old)
})

testIf(canMount)('a folder that cannot be written is ERR_PERMISSION, and the old file stays', async (t) => {
  const folder = smallFileSystem(t, '1m')
  const path = join(folder, 'cache.snapshot')
  const cache = openCache(t)
  cache.set('a', 1)
  await cache.snapshot(path)
  t.is(spawnSync('mount', ['-o', 'remount,ro', folder]).status, 0)
  await t.throwsAsync(cache.snapshot(path), { instanceOf: CacheError, code: 'ERR_PERMISSION' })
  t.like(await cache.restore(path), { entries: 1 })
})

test('files that ended processes left beside the snapshot are removed, those of others are not', async (t) => {
  const { cache, path } = await scene(t)
  const folder = join(path, '..')
  const host = hostname()
    .replace(/[^A-Za-z0-9-]/g, '_')
    .slice(0, 64)
  const left = [`.cache.snapshot.${host}.999999999-0.aa.tmp`, `.cache.snapshot.${host}.${process.pid}-0.aa.tmp`]
  const old = `.cache.snapshot.elsewhere.1-0.aa.tmp`
  const kept = [`.cache.snapshot.elsewhere.2-0.aa.tmp`, `.cache.snapshot.${host}.1-0.aa.tmp`, 'other.tmp']
  for (const name of [...left, old, ...kept]) writeFileSync(join(folder, name), '')
  utimesSync(join(folder, old), 1, 1)
  await cache.snapshot(path)
  t.deepEqual(readdirSync(folder).toSorted(), [...kept, 'cache.snapshot'].toSorted())
})
