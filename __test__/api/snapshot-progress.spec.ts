/**
 * The progress of snapshots and restores.
 */
import { join } from 'node:path'
import test from 'ava'
import { openCache, temporaryDirectory } from '../helpers/segment.ts'

test('onProgress tells how far a snapshot and a restore have come', async (t) => {
  const cache = openCache(t)
  const entries = 2000
  for (let i = 0; i < entries; i++) cache.set(`k${i}`, 'x'.repeat(200))
  const path = join(temporaryDirectory(t), 'progress.snapshot')
  const written: number[] = []
  await cache.snapshot(path, { onProgress: (done) => written.push(done) })
  t.true(written.length > 1)
  t.deepEqual(
    written,
    written.toSorted((a, b) => a - b),
  )
  t.is(written.at(-1), entries)
  const read: [number, number][] = []
  await cache.restore(path, { overwrite: true, onProgress: (done, total) => read.push([done, total]) })
  t.true(read.length > 1)
  t.deepEqual(read.at(-1), [entries, entries])

  const stop = new Error('stop')
  const fail = (): never => {
    throw stop
  }
  t.is(await t.throwsAsync(cache.snapshot(path, { onProgress: fail })), stop)
  t.is(await t.throwsAsync(cache.restore(path, { onProgress: fail })), stop)
  await t.throwsAsync(cache.snapshot(path, { onProgress: 1 as never }), { code: 'ERR_INVALID_ARGUMENT' })
})
