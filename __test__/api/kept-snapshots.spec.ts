/**
 * Periodic snapshots of one process: when they are written, what is reported, and that they end.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import type { CacheError, SnapshotInfo } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { openCache, temporaryDirectory } from '../helpers/segment.ts'

test.serial('kept snapshots are written on time, on request, and no longer after the end', async (t) => {
  const path = join(temporaryDirectory(t), 'cache.snapshot')
  const before = process.listenerCount('SIGTERM')
  const cache = openCache(t)
  cache.set('a', 1)
  const infos: SnapshotInfo[] = []
  const keeper = await cache.keepSnapshots(path, { every: '1s', onSnapshot: (info) => infos.push(info) })
  t.is(keeper.path, path)
  t.is(keeper.restored, undefined)
  t.is(process.listenerCount('SIGTERM'), before + 1)
  await eventually('two were written', () => infos.length >= 2, 30_000)
  t.true(keeper.leads)
  await keeper.stop()
  await keeper.stop()
  t.false(keeper.leads)
  t.is(process.listenerCount('SIGTERM'), before)

  const other = await cache.keepSnapshots(path, { every: Infinity, onSigterm: false })
  t.is(process.listenerCount('SIGTERM'), before)
  cache.set('b', 2)
  t.is((await other.snapshot()).path, path)
  cache.close()
  await t.throwsAsync(other.snapshot(), { code: 'ERR_CLOSED' })
  await t.notThrowsAsync(other.stop())
})

test.serial('the end of a cache ends its kept snapshots', async (t) => {
  const path = join(temporaryDirectory(t), 'cache.snapshot')
  const before = process.listenerCount('SIGTERM')
  const cache = openCache(t)
  const keepers = [await cache.keepSnapshots(path), await cache.keepSnapshots(path)]
  await eventually('one leads', () => keepers.some(({ leads }) => leads))
  t.is(process.listenerCount('SIGTERM'), before + 1)
  cache.close()
  await eventually('no listener is left', () => process.listenerCount('SIGTERM') === before)
  t.false(keepers.some(({ leads }) => leads))
})

test.serial('an error of a kept snapshot is reported, and the next one is tried', async (t) => {
  const folder = temporaryDirectory(t)
  const path = join(folder, 'missing', 'cache.snapshot')
  const cache = openCache(t)
  const codes: string[] = []
  const onError = (error: unknown): number => codes.push((error as CacheError).code)
  await using keeper = await cache.keepSnapshots(path, { every: '1s', onError })
  await eventually('two failed', () => codes.length >= 2, 30_000)
  t.is(codes[0], 'ERR_SNAPSHOT_FILE')
  mkdirSync(join(folder, 'missing'))
  await eventually('one was written', () => existsSync(path), 30_000)
  t.true(keeper.leads)
})
