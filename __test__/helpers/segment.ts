/**
 * A segment of its own for each test, which is destroyed when the test ends, also after a failure.
 *
 * `openCache` is the usual way in. Caution: a test that opens a name itself must get that name from `segmentName`, or
 * its segment is not destroyed.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { open, segments } from '../../index.ts'
import type { OpenOptions, SegmentOptions, SharedCache } from '../../index.ts'
import { manualClock } from './internals.ts'

/** `OpenOptions` without the options that `openCache` fills in, and with the clock that only tests have. */
export type TestOptions = Partial<OpenOptions> & { [manualClock]?: boolean }

/** Small enough to be quick, large enough for everything but the eviction specs: one shard. */
export const SMALL = '8mb'

/**
 * On a machine with more processes than cores a lock holder may be off its core for longer than the default. Only the
 * specs about ERR_BUSY need a shorter timeout.
 */
export const PATIENT = '10s'

/** A new name. Its segment is destroyed when the test ends. */
export function segmentName(t: ExecutionContext, where: SegmentOptions = {}): string {
  const name = `test-${process.pid}-${randomBytes(6).toString('hex')}`
  t.teardown(() => {
    segments.destroy(name, { ...where, force: true })
  })
  return name
}

/** Opens a cache that is closed when the test ends. Its name is new, unless `options` has one. */
export function openCache<V = unknown>(t: ExecutionContext, options: TestOptions = {}): SharedCache<V> {
  const { name = segmentName(t, { directory: options.directory }) } = options
  const cache = open<V>({ size: SMALL, writeTimeout: PATIENT, ...options, name })
  t.teardown(() => cache.close())
  return cache
}

/** The same, with a clock that stands still until `advance(cache, milliseconds)`. */
export function openStopped<V = unknown>(t: ExecutionContext, options: TestOptions = {}): SharedCache<V> {
  return openCache<V>(t, { ...options, [manualClock]: true })
}

/** An empty folder that is removed when the test ends. */
export function temporaryDirectory(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cache-machine-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** An empty file system of this size, which is unmounted when the test ends. Needs `canMount`. */
export function smallFileSystem(t: ExecutionContext, size: `${number}m`): string {
  const directory = temporaryDirectory(t)
  t.is(spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', directory]).status, 0)
  t.teardown(() => spawnSync('umount', ['-l', directory]))
  return directory
}
