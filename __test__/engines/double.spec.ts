/**
 * The test double: its clocks, its failures, and its isolation, on both engines.
 */
import { mock } from 'node:test'
import test from 'ava'
import { CacheError, segments } from '../../index.ts'
import { closeTestCaches, createTestCache, createTestClock } from '../../testing.ts'
import type { TestCache, TestCacheOptions } from '../../testing.ts'
import { within } from '../helpers/eventually.ts'
import type { ExecutionContext } from 'ava'

function create(t: ExecutionContext, options: TestCacheOptions): TestCache {
  const cache = createTestCache({ size: '2mb', ...options })
  t.teardown(() => cache.close())
  return cache
}

for (const engine of ['portable', 'native'] as const) {
  test(`${engine}: the clock ends lifetimes, locks and limits`, async (t) => {
    const clock = createTestClock()
    const cache = create(t, { engine, clock })
    cache.set('a', 1, '5m')
    cache.namespace('n').set('a', 1, '5m')
    const limiter = cache.limiter('calls', { limit: 1, window: '1m', algorithm: 'fixed-window' })
    t.true(limiter.consume('user').allowed)
    t.false(limiter.consume('user').allowed)
    const lock = cache.tryLock('job', { ttl: '1m' })
    const next = cache.lock('job', { timeout: '10s' })
    clock.advance('59s')
    t.true(lock?.held)
    clock.advance(1000)
    t.is(clock.elapsed, 60_000)
    t.false(lock?.held)
    t.true((await within('the next holder', next)).held)
    t.true(limiter.consume('user').allowed)
    t.is(cache.ttl('a'), 240_000)
    clock.advance('4m')
    t.is(cache.get('a'), undefined)
    t.is(cache.namespace('n').get('a'), undefined)
    for (const wrong of [-1, Number.NaN, 'soon', Infinity]) {
      t.throws(() => clock.advance(wrong as never), { code: 'ERR_INVALID_ARGUMENT' })
    }
  })

  test(`${engine}: a failure is that of the next call, of the next write, or of several`, (t) => {
    const cache = create(t, { engine })
    const strict = create(t, { engine, strict: true })
    cache.set('a', 1)
    cache.failNext('ERR_BUSY')
    t.throws(() => cache.set('a', 2), { instanceOf: CacheError, code: 'ERR_BUSY' })
    t.is(cache.get('a'), 1, 'the failed call changed nothing')
    cache.failNext('ERR_NO_SPACE', { on: 'write', times: 2 })
    t.is(cache.get('a'), 1)
    t.is(cache.pendingFailures, 2)
    t.throws(() => cache.delete('a'), { code: 'ERR_NO_SPACE' })
    t.throws(() => cache.clear(), { code: 'ERR_NO_SPACE' })
    t.true(cache.delete('a'))
    cache.set('a', 1)
    cache.failNext('ERR_SEGMENT_CORRUPT', { on: 'read' })
    t.is(cache.get('a'), undefined, 'a read becomes a miss')
    t.is(cache.stats().degradedReads, 1)
    strict.failNext('ERR_SEGMENT_CORRUPT')
    t.throws(() => strict.get('a'), { code: 'ERR_SEGMENT_CORRUPT' })
    cache.failNext('ERR_BUSY')
    t.throws(() => cache.tryLock('job'), { code: 'ERR_BUSY' })
    cache.failNext('ERR_BUSY')
    t.throws(() => cache.namespace('n').set('a', 1), { code: 'ERR_BUSY' })
    t.is(cache.pendingFailures, 0)
    for (const [code, options] of [
      ['ERR_NONE', {}],
      ['ERR_BUSY', { on: 'both' }],
      ['ERR_BUSY', { times: 0 }],
      ['ERR_BUSY', { count: 2 }],
    ] as const) {
      t.throws(() => cache.failNext(code as never, options as never), { code: 'ERR_INVALID_ARGUMENT' })
    }
  })

  test(`${engine}: caches are apart, and those of one name share a segment until the last is closed`, (t) => {
    const clock = createTestClock()
    const [one, other] = [create(t, { engine }), create(t, { engine })]
    one.set('a', 1)
    t.is(other.get('a'), undefined)
    const name = `test-double-${process.pid}-${engine}`
    const [first, second] = [create(t, { engine, name, clock }), create(t, { engine, name, clock })]
    first.set('a', 1, 10)
    t.is(second.get('a'), 1)
    clock.advance(10)
    t.is(second.get('a'), undefined)
    t.throws(() => create(t, { engine, name, clock: createTestClock() }), { code: 'ERR_INVALID_ARGUMENT' })
    first.close()
    t.not(segments.inspect(name, { engine }), undefined)
    second.close()
    t.is(segments.inspect(name, { engine }), undefined)
  })
}

test.serial('fake timers move the time of caches that were made before and after', async (t) => {
  for (const engine of ['portable', 'native'] as const) {
    const early = create(t, { engine })
    early.set('a', 1, '1m')
    mock.timers.enable({ apis: ['Date', 'setTimeout', 'setInterval'], now: Date.now() })
    try {
      const late = create(t, { engine })
      late.set('a', 1, '1m')
      const expired: unknown[] = []
      late.on('expire', ({ key }) => expired.push(key))
      mock.timers.tick(59_000)
      t.is(early.get('a'), 1)
      t.is(late.get('a'), 1)
      mock.timers.tick(1100)
      t.is(early.get('a'), undefined)
      t.is(late.get('a'), undefined)
      const lock = late.tryLock('job', { ttl: '1m' })
      mock.timers.tick(60_000)
      t.false(lock?.held)
    } finally {
      mock.timers.reset()
    }
  }
})

test.serial('a timer of a test runner that is a number is as good as an object', (t) => {
  const { setTimeout: original } = globalThis
  const numbers = ((...args: Parameters<typeof original>) => {
    original(...args).unref()
    return 1
  }) as unknown as typeof original
  const cache = create(t, {})
  cache.on('expire', () => undefined)
  globalThis.setTimeout = numbers
  try {
    t.true(cache.set('a', 1, '1h'))
  } finally {
    globalThis.setTimeout = original
  }
})

test.serial('closeTestCaches closes all of them', (t) => {
  const caches = [create(t, {}), create(t, {}), create(t, { engine: 'native' })]
  closeTestCaches()
  t.true(caches.every((cache) => cache.closed))
  t.deepEqual(segments.list({ engine: 'portable' }), [])
})
