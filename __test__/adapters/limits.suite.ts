/**
 * The suite of every adapter for a host that limits rates, over both engines, and a real application of the host under
 * cluster: what all workers together let through is exactly the limit.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { createTestCache, createTestClock } from '../../testing.ts'
import type { TestCache, TestClock } from '../../testing.ts'
import { onNative } from '../helpers/engine.ts'
import { Client, serveApp } from '../helpers/host-app.ts'
import { SMALL, openCache } from '../helpers/segment.ts'
import { APP_LIMIT } from './apps/app.ts'
import { LIMIT, WINDOW } from './limit-driver.ts'
import type { LimitDriver, LimitDriverModule } from './limit-driver.ts'

const WORKERS = 3
const REQUESTS = 160
const IN_FLIGHT = 16

interface Scene {
  readonly cache: TestCache
  readonly clock: TestClock
  readonly host: LimitDriver
}

/** Registers the suite. `adapter`: the name of the module in `drivers/`, and of the one in `apps/`. */
export async function limitSuite(adapter: string): Promise<void> {
  const { driver } = (await import(`./drivers/${adapter}.ts`)) as LimitDriverModule
  for (const engine of ['portable', 'native'] as const) registerFor(adapter, engine, driver)
  registerCluster(adapter)
}

function registerFor(adapter: string, engine: 'portable' | 'native', driver: LimitDriverModule['driver']): void {
  const check = (sentence: string, run: (t: ExecutionContext, scene: Scene) => Promise<unknown>): void => {
    test(`${adapter}, ${engine}: ${sentence}`, async (t) => {
      const clock = createTestClock()
      const cache = createTestCache({ engine, clock, size: SMALL })
      t.teardown(() => cache.close())
      await run(t, { cache, clock, host: driver(cache) })
    })
  }

  check('the limit is let through, and no hit more', async (t, { host }) => {
    for (let hits = 1; hits <= LIMIT; hits++) t.deepEqual(await host.hit('a'), { allowed: true, hits })
    t.like(await host.hit('a'), { allowed: false })
    t.deepEqual(await host.hit('b'), { allowed: true, hits: 1 })
  })

  check('a window begins with its first hit and ends to the millisecond', async (t, { host, clock }) => {
    await host.hit('a')
    clock.advance(WINDOW - 1)
    t.deepEqual(await host.hit('a'), { allowed: true, hits: 2 })
    clock.advance(1)
    t.deepEqual(await host.hit('a'), { allowed: true, hits: 1 })
  })

  check('a limiter of another name counts apart', async (t, { host }) => {
    await host.hit('a')
    t.deepEqual(await host.other().hit('a'), { allowed: true, hits: 1 })
    t.deepEqual(await host.hit('a'), { allowed: true, hits: 2 })
  })

  check('the keys of the application are left alone', async (t, { host, cache }) => {
    cache.set('a', 'of the application')
    await host.hit('a')
    await host.reset?.('a')
    t.is(cache.get('a'), 'of the application')
  })

  check('a reset ends the window of one key', async (t, { host }) => {
    if (host.reset === undefined) return t.pass('the host has no reset')
    for (let hits = 0; hits <= LIMIT; hits++) await host.hit('a')
    await host.hit('b')
    await host.reset('a')
    t.deepEqual(await host.hit('a'), { allowed: true, hits: 1 })
    t.deepEqual(await host.hit('b'), { allowed: true, hits: 2 })
  })

  check('a segment in trouble makes the call reject, and no hit is counted', async (t, { host, cache }) => {
    cache.failNext('ERR_BUSY', { on: 'write' })
    await t.throwsAsync(host.hit('a'), { code: 'ERR_BUSY' })
    t.is(cache.pendingFailures, 0)
    t.deepEqual(await host.hit('a'), { allowed: true, hits: 1 })
  })

  check('a closed cache makes the call reject', async (t, { host, cache }) => {
    cache.close()
    await t.throwsAsync(host.hit('a'), { code: 'ERR_CLOSED' })
  })
}

function registerCluster(adapter: string): void {
  onNative('another process')(`${adapter}: all workers of a cluster together let through the limit`, async (t) => {
    t.timeout(90_000)
    const cache = openCache(t)
    const running = await serveApp(t, adapter, cache.name, WORKERS)
    const client = new Client(running)
    const answers: { status: number; worker: number }[] = []
    let sent = 0
    const lane = async (): Promise<void> => {
      while (sent++ < REQUESTS) answers.push(await client.get('/'))
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
    const count = (status: number): number => answers.filter((answer) => answer.status === status).length
    t.deepEqual({ passed: count(200), refused: count(429) }, { passed: APP_LIMIT, refused: REQUESTS - APP_LIMIT })
    t.is(new Set(answers.map(({ worker }) => worker)).size, WORKERS)
  })
}
