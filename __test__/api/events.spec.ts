/**
 * The events `detached` and `damage`, and listeners in general.
 */
import { truncateSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import type { DamageEvent, DetachedEvent } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'

test('detached reports the name and file of the segment once', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const path = segments.inspect(name)?.path
  const seen: DetachedEvent[] = []
  cache.on('detached', (event) => seen.push(event))
  segments.destroy(name, { force: true })
  cache.get('a')
  cache.set('a', 1)
  await turn()
  t.deepEqual(seen, [{ name, path: path ?? '' }])

  segments.destroy(name, { force: true })
  cache.set('a', 2)
  await turn()
  t.is(seen.length, 2)
})

test('detached reaches a process that makes no calls', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  let seen = 0
  cache.on('detached', () => seen++)
  segments.destroy(name, { force: true })
  await eventually('the event', () => seen > 0)
  t.is(segments.inspect(name), undefined, 'no call asked for a new segment')
  cache.set('a', 1)
  await turn()
  t.is(seen, 1)
})

onNative('a damaged file')('damage reports why a read was a miss', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t, { directory })
  const cache = openCache(t, { name, directory })
  cache.set('a', 1)
  const seen: DamageEvent[] = []
  cache.on('damage', (event) => seen.push(event))
  // The file is lost while the cache uses it, and the rest under its name is no segment.
  truncateSync(segments.inspect(name, { directory })?.path ?? '', 100)
  t.is(cache.get('a'), undefined)
  t.is(cache.get('a'), undefined)
  t.true(cache.stats().degradedReads > 0)
  await turn()
  t.true(seen.length > 0)
  t.true(seen[0]?.error instanceof CacheError)
  t.like(seen[0], { shard: undefined, dropped: 0 })
})

test('the function that on returns removes the listener, and so does off', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const seen: string[] = []
  const byOff = (): number => seen.push('by off')
  const twice = (): number => seen.push('twice')
  const stop = cache.on('detached', () => seen.push('by stop'))
  cache.on('detached', byOff)
  cache.on('detached', twice)
  cache.on('detached', twice)
  cache.on('detached', () => seen.push('stays'))
  stop()
  stop()
  cache.off('detached', byOff)
  cache.off('detached', byOff)
  cache.off('detached', twice)
  segments.destroy(name, { force: true })
  cache.get('a')
  await turn()
  t.deepEqual(seen, ['twice', 'stays'])
})

test('a listener may use the cache', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('a', 1)
  cache.on('detached', () => cache.set('a', 'filled again'))
  segments.destroy(name, { force: true })
  t.is(cache.get('a'), undefined)
  await turn()
  t.is(cache.get('a'), 'filled again')
})

test('a listener that throws causes an uncaught exception, and affects no other listener', async (t) => {
  const name = segmentName(t)
  const child = fork(t, 'throwing-listener', { name, size: SMALL })
  t.deepEqual(await child.next(), ['set returned', 'first', 'uncaught by the first', 'second sees a value'])
})

test('unknown events and wrong listeners throw', (t) => {
  const cache = openCache(t)
  for (const event of ['evicted', 'toString', '', null, ['damage'], Object.create(null)]) {
    t.throws(() => cache.on(event as never, () => undefined), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.off(event as never, () => undefined), { code: 'ERR_INVALID_ARGUMENT' })
  }
  t.throws(() => cache.on('damage', undefined as never), { code: 'ERR_INVALID_ARGUMENT' })
})
