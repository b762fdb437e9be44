/**
 * The file of a region: foreign, damaged, truncated, removed, destroyed, or too large for its file system.
 */
import {
  chmodSync,
  chownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import test from 'ava'
import { openRegion, regions, segments } from '../../index.ts'
import { closedRegion, shared, throwsCode } from '../helpers/region-scene.ts'
import { openTestRegion, regionName } from '../helpers/region.ts'
import { openCache, smallFileSystem } from '../helpers/segment.ts'
import { UNPRIVILEGED, canMount, isRoot, testIf } from '../helpers/system.ts'
import type { Answer } from '../children/region-user.ts'

test('a file that other users may access, or that has other names, is refused and left alone', (t) => {
  const { names, path, reopens, refuses } = closedRegion(t)
  t.is(statSync(path).mode & 0o777, 0o600)
  const elsewhere = path.replace('cache-machine', 'kept-by-a-test')
  t.teardown(() => rmSync(elsewhere, { force: true }))
  for (const mode of [0o640, 0o604, 0o666]) {
    chmodSync(path, mode)
    refuses('ERR_PERMISSION', /changed its mode or names. Delete it/)
    const destroy = (): unknown => regions.destroy(names.cache, names.name, { force: true })
    throwsCode(t, 'ERR_PERMISSION', destroy, /changed its mode or names. Delete it/)
  }
  chmodSync(path, 0o600)
  reopens()
  linkSync(path, elsewhere)
  refuses('ERR_PERMISSION')
  unlinkSync(elsewhere)
  reopens()
  renameSync(path, elsewhere)
  symlinkSync(elsewhere, path)
  refuses('ERR_PERMISSION')
  unlinkSync(path)
  mkdirSync(path)
  refuses('ERR_PERMISSION')
  rmdirSync(path)
  renameSync(elsewhere, path)
  reopens()
})

testIf(isRoot)('a file of another user is refused, and the other user has a region of its own', async (t) => {
  const { names, path, reopens, refuses } = closedRegion(t)
  chownSync(path, UNPRIVILEGED, UNPRIVILEGED)
  refuses('ERR_PERMISSION', new RegExp(`user ${UNPRIVILEGED} owns ${path}`))
  chownSync(path, 0, 0)
  reopens()

  // As another user, for the length of one call.
  process.seteuid?.(UNPRIVILEGED)
  try {
    const region = openRegion({ ...names, size: 4096 })
    const found = [region.created, new Uint8Array(region.buffer)[0]]
    region.close()
    regions.destroy(names.cache, names.name)
    t.deepEqual(found, [true, 0])
  } finally {
    process.seteuid?.(0)
  }
  reopens()
})

test('a file that is no region is refused, and can be destroyed', (t) => {
  const { names, path, refuses } = closedRegion(t)
  const rubbish: [content: Uint8Array, length: number][] = [
    [Buffer.from('no region at all'), 16],
    [Buffer.alloc(400_000, 'rubbish'), 400_000],
    [readFileSync(path), 8192],
    [readFileSync(path).fill(0xff, 192, 208), statSync(path).size],
    [readFileSync(path).fill(0, 12, 16), statSync(path).size],
  ]
  for (const [content, length] of rubbish) {
    writeFileSync(path, content, { mode: 0o600 })
    truncateSync(path, length)
    refuses('ERR_SEGMENT_CORRUPT', /regions\.destroy/)
    const listed = regions.list().find(({ cache }) => cache === names.cache)
    t.true(listed === undefined || !listed.readable || length === content.length)
    t.true(regions.destroy(names.cache, names.name))
    const region = openTestRegion(t, names)
    t.true(region.created)
    t.true(new Uint8Array(region.buffer).every((byte) => byte === 0))
    region.close()
  }
})

test('a cache under the name of a region is refused, and so is a region under the name of a cache', (t) => {
  const { names, path, refuses } = closedRegion(t)
  const cache = openCache(t)
  const cachePath = segments.inspect(cache.name)?.path ?? ''
  cache.close()
  const bytes = [readFileSync(path), readFileSync(cachePath)] as const
  writeFileSync(path, bytes[1])
  writeFileSync(cachePath, bytes[0])
  refuses('ERR_SEGMENT_CORRUPT')
  throwsCode(t, 'ERR_SEGMENT_CORRUPT', () => openCache(t, { name: cache.name }))
  t.true(regions.destroy(names.cache, names.name))
  t.true(segments.destroy(cache.name))
})

test('a region that is truncated in use reads as zeros, and reports that it is detached', (t) => {
  for (const length of [0, 100, 5000]) {
    const region = openTestRegion(t, { size: '1mb' })
    const bytes = new Uint8Array(region.buffer).fill(7)
    t.true(region.attached)
    truncateSync(region.path, length)
    t.is(bytes[bytes.length - 1], 0)
    t.is(bytes.fill(9)[1000], 9)
    t.false(region.attached)
    throwsCode(t, 'ERR_CLOSED', () => region.withLock(() => 1), /open it again/)
    region.close()
    t.is(bytes.length, 0)
  }
})

test('a holder gets ERR_LOCK_LOST when its region is truncated', (t) => {
  const region = openTestRegion(t, { size: '1mb' })
  const bytes = new Uint8Array(region.buffer)
  const cut = (): void => {
    truncateSync(region.path, 0)
    bytes[0] = 1
  }
  throwsCode(t, 'ERR_LOCK_LOST', () => region.withLock(cut))
})

test.serial(
  'handles of a destroyed region keep the bytes, cannot take the lock, and do not prevent the next region',
  async (t) => {
    const { region, names, child } = await shared(t)
    const bytes = new Float64Array(region.buffer)
    bytes[0] = 7
    t.true(regions.destroy(names.cache, names.name, { force: true }))
    t.is(bytes[0], 7)
    t.false(region.attached)
    throwsCode(t, 'ERR_CLOSED', () => region.lock(), /open it again/)
    throwsCode(t, 'ERR_CLOSED', () => region.tryLock())
    t.is((await child.ask<Answer>(['take', 0])).code, 'ERR_CLOSED')
    t.deepEqual(await child.ask(['attached']), { value: false })

    const next = openTestRegion(t, { ...names, size: 64 })
    t.true(next.created)
    t.is(new Float64Array(next.buffer)[0], 0)
    t.is(
      next.withLock(() => 1),
      1,
    )
  },
)

test('a region without its file is detached, and the next open creates another', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  unlinkSync(region.path)
  t.false(region.attached)
  t.true(openTestRegion(t, names).created)
})

test.serial('destroy frees the name under a holder of the lock, which then gets ERR_LOCK_LOST', async (t) => {
  const { names, child } = await shared(t)
  await child.ask(['take', 1000])
  t.true(regions.destroy(names.cache, names.name, { force: true }))
  t.is(regions.inspect(names.cache, names.name), undefined)
  t.true(openTestRegion(t, names).created)
  t.is((await child.ask<Answer>(['release'])).code, 'ERR_LOCK_LOST')
})

testIf(canMount)('a region without room fails with ERR_NO_SPACE, and leaves nothing behind', (t) => {
  const directory = smallFileSystem(t, '16m')
  for (const size of ['16mb', '1gb', '4gb'] as const) {
    throwsCode(t, 'ERR_NO_SPACE', () => openRegion({ cache: 'app', name: 'large', size, directory }))
  }
  t.deepEqual(readdirSync(directory), [])

  // All of it is reserved at once: a folder that fills up later causes no failure.
  const region = openTestRegion(t, { cache: 'app', name: 'fits', size: '10mb', directory })
  throwsCode(t, 'ERR_NO_SPACE', () => openRegion({ cache: 'app', name: 'more', size: '10mb', directory }))
  t.true(new Uint8Array(region.buffer).fill(1).every((byte) => byte === 1))
  t.true(region.attached)
})
