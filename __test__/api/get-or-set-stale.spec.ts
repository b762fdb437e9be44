/**
 * `getOrSet`: stale values, reloads in the background, and time limits.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import ava from 'ava'
import { CacheError } from '../../index.ts'
import type { CacheMessage, LoadContext } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { gate } from '../helpers/gate.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

const test = ava.serial

test('a stale value is returned at once while one call reloads', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, stale: 5000 }
  t.is(await cache.getOrSet('a', () => 'old', options), 'old')
  advance(cache, 1000)
  t.false(cache.has('a'))
  const loaded = gate<string>()
  let loads = 0
  const load = (): Promise<string> => {
    loads++
    return loaded.promise
  }
  for (let i = 0; i < 10; i++) t.is(await cache.getOrSet('a', load, options), 'old')
  t.is(loads, 1)
  loaded.open('new')
  await eventually('the reload is kept', () => cache.get('a') === 'new')
  t.is(await cache.getOrSet('a', load, options), 'new')
  advance(cache, 6000)
  t.is(await cache.getOrSet('a', () => 'newest', options), 'newest', 'a value that is too old is not served')
})

test('stale limits what its caller accepts, independent of what was stored', async (t) => {
  const cache = openStopped(t)
  await cache.getOrSet('a', () => 'old', { ttl: 1000, stale: 5000 })
  advance(cache, 3000)
  t.is(await cache.getOrSet('a', () => 'other', { stale: 2000 }), 'old')
  await eventually('the reload', () => cache.get('a') === 'other')
  await cache.getOrSet('b', () => 'old', { ttl: 1000, stale: 5000 })
  advance(cache, 3001)
  t.is(await cache.getOrSet('b', () => 'other', { stale: 2000 }), 'other')
})

test('a value that an invalidated tag has outdated is stale', async (t) => {
  const cache = openCache(t)
  await cache.getOrSet('a', () => 'old', { ttl: '1h', stale: '1h', tags: ['x'] })
  cache.invalidateTags('x', { mode: 'stale' })
  t.is(await cache.getOrSet('a', () => 'new', { stale: '1h' }), 'old')
  await eventually('the reload', () => cache.get('a') === 'new')
})

test('a failed reload in the background leaves the old value, pauses further reloads, and is published to subscribers', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, stale: 60_000 }
  await cache.getOrSet('a', () => 'old', options)
  advance(cache, 1000)
  const messages: CacheMessage[] = []
  const note = (message: unknown): void => {
    if ((message as CacheMessage).name === cache.name) messages.push(message as CacheMessage)
  }
  subscribe('cache-machine:load', note)
  t.teardown(() => unsubscribe('cache-machine:load', note))
  let loads = 0
  const error = new Error('no')
  const load = (): Promise<string> => {
    loads++
    return Promise.reject(error)
  }
  for (let i = 0; i < 5; i++) {
    t.is(await cache.getOrSet('a', load, options), 'old')
    await turn()
  }
  t.is(loads, 1)
  t.deepEqual(messages, [{ name: cache.name, namespace: '', key: 'a', done: false, error }])
  advance(cache, 1000)
  t.is(await cache.getOrSet('a', load, options), 'old')
  t.is(loads, 2)
})

test('staleIfError returns the old value where the load fails, and only then', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, staleIfError: 5000 }
  await cache.getOrSet('a', () => 'old', options)
  advance(cache, 1000)
  t.is(await cache.getOrSet<unknown>('a', () => Promise.reject(new Error('no')), options), 'old')
  await t.throwsAsync(
    cache.getOrSet('a', () => Promise.reject(new Error('no'))),
    { message: 'no' },
    'a caller without staleIfError',
  )
  t.is(await cache.getOrSet('a', () => 'new', options), 'new')
  advance(cache, 6001)
  await t.throwsAsync(
    cache.getOrSet('a', () => Promise.reject(new Error('no')), options),
    { message: 'no' },
  )
})

test('refreshAhead makes one reader reload in the background before the deadline', async (t) => {
  const cache = openStopped(t)
  for (const refreshAhead of [0.2, 2000, '2s'] as const) {
    cache.clear()
    const options = { ttl: 10_000, refreshAhead }
    await cache.getOrSet('a', () => 'old', options)
    advance(cache, 7999)
    t.is(await cache.getOrSet('a', () => t.fail() as unknown, options), 'old')
    advance(cache, 1)
    const loaded = gate<string>()
    let loads = 0
    const load = (): Promise<string> => {
      loads++
      return loaded.promise
    }
    for (let i = 0; i < 5; i++) t.is(await cache.getOrSet('a', load, options), 'old')
    loaded.open('new')
    await eventually('the reload', () => cache.get('a') === 'new')
    t.is(loads, 1)
    t.is(cache.ttl('a'), 10_000)
    t.is(await cache.getOrSet('a', load, options), 'new')
    t.is(loads, 1)
  }
})

test('after its timeout a call returns the stale value, and the late result is stored', async (t) => {
  const cache = openCache(t)
  const options = { ttl: 1, stale: '1h', timeout: 20 } as const
  await cache.getOrSet('a', () => 'old', options)
  await eventually('it is stale', () => !cache.has('a'))
  const loaded = gate<string>()
  const start = performance.now()
  t.is(await cache.getOrSet('a', () => loaded.promise, options), 'old')
  t.true(performance.now() - start >= 19)
  loaded.open('new')
  await eventually('the late result', () => cache.getEntry('a', { allowStale: true })?.value === 'new')
  await eventually('it is stale', () => !cache.has('a'))
  t.is(await cache.getOrSet('a', () => 'newer', options), 'newer', 'a load that is quick enough')
  // Without a stale value the timeout has no effect.
  t.is(await cache.getOrSet('b', () => delay(60, 'slow'), options), 'slow')
})

test('timeout with staleIfError alone returns the old value within that window', async (t) => {
  const cache = openStopped(t)
  const options = { ttl: 1000, staleIfError: 5000, timeout: 10 }
  await cache.getOrSet('a', () => 'old', options)
  advance(cache, 1000)
  const loaded = gate<string>()
  t.is(await cache.getOrSet('a', () => loaded.promise, options), 'old')
  loaded.open('new')
})

test('hardTimeout rejects with ERR_TIMEOUT, or returns the old value within staleIfError; the late result is stored', async (t) => {
  const cache = openCache(t)
  const loaded = gate<string>()
  let signal: AbortSignal | undefined
  const load = (context: LoadContext): Promise<string> => {
    signal = context.signal
    return loaded.promise
  }
  await t.throwsAsync(cache.getOrSet('a', load, { hardTimeout: 10 }), { instanceOf: CacheError, code: 'ERR_TIMEOUT' })
  const patient = cache.getOrSet('a', () => t.fail() as unknown)
  t.false(signal?.aborted)
  loaded.open('late')
  t.is(await patient, 'late')
  t.is(cache.get('a'), 'late')

  const options = { ttl: 1, staleIfError: '1h', hardTimeout: 10 } as const
  await cache.getOrSet('b', () => 'old', options)
  await eventually('it is stale', () => !cache.has('b'))
  t.is(await cache.getOrSet('b', () => new Promise<string>(() => undefined), options), 'old')
})

test('notModified keeps the previous value, with a new lifetime', async (t) => {
  const cache = openStopped<{ etag: string }>(t)
  const options = { ttl: 1000, staleIfError: 5000 }
  await cache.getOrSet('a', () => ({ etag: 'x' }), options)
  advance(cache, 1500)
  const seen: unknown[] = []
  const load = ({ stale, notModified }: LoadContext<{ etag: string }>): never => {
    seen.push(stale)
    return notModified()
  }
  const calls = [0, 1].map(() => cache.getOrSet('a', load, options))
  t.deepEqual(await Promise.all(calls), [{ etag: 'x' }, { etag: 'x' }])
  t.deepEqual(seen, [{ etag: 'x' }])
  t.is(cache.ttl('a'), 1000)
  t.deepEqual(cache.get('a'), { etag: 'x' })
  await t.throwsAsync(cache.getOrSet('none', load), { code: 'ERR_INVALID_ARGUMENT' })
  t.deepEqual(seen, [{ etag: 'x' }, undefined])
})
