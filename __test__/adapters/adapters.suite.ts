/**
 * The suite that every adapter runs, over both engines, with the host's own package: misses, lifetimes, null and
 * undefined, bytes and large values, namespaces, the scope of `clear`, a segment in trouble, a closed cache, and the
 * death of a process that loads.
 *
 * A driver says what its host expects in each case, so a deviation is written down and never skipped in silence.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { createTestCache, createTestClock } from '../../testing.ts'
import type { TestCache, TestClock } from '../../testing.ts'
import { onNative } from '../helpers/engine.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache } from '../helpers/segment.ts'
import type { Driver, DriverModule, Outcome, Without } from './driver.ts'

/** Above the limit of any host's text protocol, and below the largest entry of a small segment. */
const LARGE = 300_000

interface Scene {
  readonly cache: TestCache
  readonly clock: TestClock
  readonly host: Driver
}

/**
 * Registers the suite. `adapter`: the name of the module in `drivers/`, by which another process finds it. AVA wants all
 * tests of a file to be declared at once, so the spec imports the module.
 */
export function adapterSuite(adapter: string, module: DriverModule): void {
  for (const engine of ['portable', 'native'] as const) registerFor(adapter, engine, module)
  registerProcesses(adapter, module)
}

function registerFor(adapter: string, engine: 'portable' | 'native', { driver, expected }: DriverModule): void {
  const check = (sentence: string, run: (t: ExecutionContext, scene: Scene) => Promise<unknown>): void => {
    test(`${adapter}, ${engine}: ${sentence}`, async (t) => {
      const clock = createTestClock()
      const cache = createTestCache({ engine, clock, size: SMALL })
      t.teardown(() => cache.close())
      await run(t, { cache, clock, host: await driver(cache) })
    })
  }

  check('a key without a value is a miss of the host', async (t, { host }) => {
    t.is(await host.get('nothing'), expected.miss)
    await host.set('a', 'value')
    t.is(await host.get('b'), expected.miss)
  })

  check('a value comes back, and a later one replaces it', async (t, { host }) => {
    await host.set('a', { text: 'Grüße', list: [1, 2, { deep: true }], no: false, zero: 0 })
    t.deepEqual(await host.get('a'), { text: 'Grüße', list: [1, 2, { deep: true }], no: false, zero: 0 })
    await host.set('a', ['another'])
    t.deepEqual(await host.get('a'), ['another'])
  })

  check('a value that was read may be changed, and the cache is not', async (t, { host }) => {
    await host.set('a', { list: [1] })
    const read = (await host.get('a')) as { list: number[] }
    read.list.push(2)
    t.deepEqual(await host.get('a'), { list: [1] })
  })

  const { ttl } = expected
  if (applies(adapter, 'lifetimes', ttl)) {
    check('a lifetime has the unit of the host', async (t, { host, clock }) => {
      // A host may give the store what is left of a lifetime by the real clock, so some seconds may pass.
      await host.set('short', 'value', 200_000 / ttl.unit)
      await host.set('long', 'value', 3_600_000 / ttl.unit)
      clock.advance(190_000)
      t.is(await host.get('short'), 'value')
      clock.advance(10_000)
      t.is(await host.get('short'), expected.miss)
      t.is(await host.get('long'), 'value')
      clock.advance(3_600_000)
      t.is(await host.get('long'), expected.miss)
    })
    check('a lifetime of 0', (t, { host }) => judge(t, host, expected.miss, ttl.zero, 'value', 0))
    check('a negative lifetime', (t, { host }) => judge(t, host, expected.miss, ttl.negative, 'value', -1))
  }

  check('null', (t, { host }) => judge(t, host, expected.miss, expected.null, null))
  check('undefined', (t, { host }) => judge(t, host, expected.miss, expected.undefined, undefined))

  check('bytes', async (t, { host }) => {
    await host.set('a', Buffer.from([1, 2, 255]))
    t.deepEqual(await host.get('a'), expected.binary)
  })

  check('a large value', async (t, { host }) => {
    const large = 'ü'.repeat(LARGE)
    await host.set('a', large)
    t.true((await host.get('a')) === large)
  })

  check('the application and the host do not see each other’s keys', async (t, { host, cache }) => {
    cache.set('a', 'of the application')
    t.is(await host.get('a'), expected.miss)
    await host.set('a', 'of the host')
    t.is(cache.get('a'), 'of the application')
  })

  if (applies(adapter, 'clear', expected.clear)) {
    const kept = expected.clear === 'other namespaces'
    check('clear has the scope of the host', async (t, { host, cache }) => {
      const other = host.other?.()
      if (kept) t.truthy(other, 'the driver has another namespace')
      cache.set('a', 'of the application')
      await host.set('a', 1)
      await other?.set('a', 2)
      if (other !== undefined) t.is(await host.get('a'), 1)
      await host.clear?.()
      t.is(await host.get('a'), expected.miss)
      if (other !== undefined) t.is(await other.get('a'), kept ? 2 : expected.miss)
      t.is(cache.get('a'), 'of the application')
    })
  }

  check('delete removes one key', async (t, { host }) => {
    if (host.delete === undefined) return t.pass('the host has no delete')
    await host.set('a', 1)
    await host.set('b', 2)
    await host.delete('a')
    await host.delete('nothing')
    t.is(await host.get('a'), expected.miss)
    t.is(await host.get('b'), 2)
  })

  check('a read from a segment in trouble is a miss, and the next one finds the value', async (t, { host, cache }) => {
    await host.set('a', 'value')
    cache.failNext('ERR_SEGMENT_CORRUPT', { on: 'read' })
    t.is(await host.get('a'), expected.miss)
    t.is(cache.pendingFailures, 0)
    t.is(await host.get('a'), 'value')
  })

  check('a write to a segment in trouble does not end the process', async (t, { host, cache }) => {
    cache.failNext('ERR_BUSY', { on: 'write' })
    const writing = host.set('a', 'value')
    if (expected.failedWrite === 'rejects') await t.throwsAsync(writing, { code: 'ERR_BUSY' })
    else if (expected.failedWrite === false) t.is(await writing, false)
    else await t.notThrowsAsync(writing)
    t.is(cache.pendingFailures, 0)
    await host.set('a', 'value')
    t.is(await host.get('a'), 'value')
  })

  check('a closed cache', async (t, { host, cache }) => {
    await host.set('a', 'value')
    cache.close()
    if (expected.closed === 'rejects') await t.throwsAsync(host.get('a'), { code: 'ERR_CLOSED' })
    else t.is(await host.get('a'), expected.miss)
  })

  if (applies(adapter, 'loads', expected.loads)) {
    check('one load serves all callers, and its error is not remembered', async (t, { host }) => {
      let loads = 0
      const load = async (): Promise<unknown> => ({ load: ++loads })
      const answers = await Promise.all([1, 2, 3].map(() => host.load?.('a', load)))
      t.deepEqual(answers, [{ load: 1 }, { load: 1 }, { load: 1 }])
      t.deepEqual(await host.load?.('a', load), { load: 1 })
      const failing = async (): Promise<unknown> => {
        throw new Error('no database')
      }
      await t.throwsAsync(async () => host.load?.('b', failing), { message: 'no database' })
      t.deepEqual(await host.load?.('b', load), { load: 2 })
    })
  }
}

function registerProcesses(adapter: string, { driver, expected }: DriverModule): void {
  onNative('another process')(`${adapter}: a process reads what another one has written`, async (t) => {
    const cache = openCache(t)
    const host = await driver(cache)
    t.is(await host.get('a'), expected.miss)
    const writer = fork(t, 'adapter-caller', { adapter, name: cache.name, call: 'set' })
    t.is(await writer.next(), 'set')
    t.deepEqual(await host.get('a'), { from: 'another process' })
  })

  if (!applies(adapter, 'loads', expected.loads)) return
  onNative('another process')(`${adapter}: a caller loads when the process that loads dies`, async (t) => {
    const cache = openCache(t)
    const host = await driver(cache)
    const loader = fork(t, 'adapter-caller', { adapter, name: cache.name, call: 'load' })
    t.is(await loader.next(), 'loading')
    let loads = 0
    const load = async (): Promise<unknown> => `loaded ${++loads} time`
    const waiting = [host.load?.('a', load), host.load?.('a', load)]
    t.is(loads, 0, 'the other process loads')
    loader.kill()
    t.deepEqual(await Promise.all(waiting), ['loaded 1 time', 'loaded 1 time'])
  })
}

/** Writes, and compares what is there afterwards with what the host expects. */
async function judge(
  t: ExecutionContext,
  host: Driver,
  miss: unknown,
  outcome: Outcome,
  value: unknown,
  ttl?: number,
): Promise<void> {
  const writing = host.set('a', value, ttl)
  if (outcome === 'rejects') await t.throwsAsync(async () => writing)
  else await writing
  t.is(await host.get('a'), outcome === 'kept' ? value : miss)
}

/** Whether a case exists for the host. Otherwise a test states the reason. */
function applies<T>(adapter: string, what: string, expected: T | Without): expected is T {
  const reason = (expected as Partial<Without> | null)?.without
  if (reason === undefined) return true
  const title = `${adapter}: no ${what}, since ${reason}`
  if (!registered.has(title)) test(title, (t) => t.true(reason.length > 0))
  registered.add(title)
  return false
}

const registered = new Set<string>()
