/**
 * cache-machine/memored, and the same calls of memored 1 in a worker of a cluster.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import test from 'ava'
import { memoredOver } from '../../lib/adapters/memored.ts'
import type { Memored } from '../../lib/adapters/memored.ts'
import { createTestCache } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/memored.ts'

adapterSuite('memored', driver)

/** What a program sees of either module. It also runs as text in a worker, so it uses nothing from outside. */
async function session(memored: Memored): Promise<unknown[]> {
  const call = (run: (callback: (...values: unknown[]) => void) => void): Promise<unknown[]> =>
    new Promise((resolve) => {
      let isLater = false
      run((...values) => resolve([isLater, ...values]))
      isLater = true
    })
  const round = (values: unknown[]): unknown[] =>
    values.map((value) =>
      typeof value === 'number' && value > 1e9 ? Math.round((value - Date.now()) / 10_000) : value,
    )
  const seen: unknown[] = []
  seen.push(await call((done) => memored.store('a', { n: 1 }, done)))
  seen.push(round(await call((done) => memored.store('b', ['x'], 60_000, done))))
  seen.push(await call((done) => memored.read('a', done)), round(await call((done) => memored.read('b', done))))
  seen.push(await call((done) => memored.read('nothing', done)))
  seen.push(round(await call((done) => memored.multiStore({ c: 1, d: 2 }, 60_000, done))))
  const [, , values] = (await call((done) => memored.multiRead(['a', 'c', 'nothing'], done))) as [0, 0, object]
  seen.push(Object.entries(values).map(([key, { value }]: [string, { value: unknown }]) => [key, value]))
  seen.push(await call((done) => memored.size(done)))
  const [, , keys] = (await call((done) => memored.keys(done))) as [0, 0, string[]]
  seen.push(keys.toSorted())
  seen.push(await call((done) => memored.remove('a', done)), await call((done) => memored.read('a', done)))
  // memored leaves out the null for no error there.
  seen.push((await call((done) => memored.multiRemove(['b', 'nothing'], done)))[0])
  seen.push(await call((done) => memored.clean(done)), await call((done) => memored.size(done)))
  return seen
}

test('a program sees the same as with memored in a worker', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  // A program of its own: memored talks to the primary of its process. `undefined` is null in JSON on both sides.
  const file = createRequire(import.meta.url).resolve('memored')
  const program = `const cluster = require('node:cluster')
    const memored = require(${JSON.stringify(file)})
    if (cluster.isPrimary) cluster.setupPrimary({ exec: process.argv[1] }), cluster.fork()
    else (${session})(memored).then((seen) => process.stdout.write(JSON.stringify(seen), () => process.exit()))`
  const folder = mkdtempSync(join(tmpdir(), 'memored-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(`${folder}/program.cjs`, program)
  const env = { ...process.env, NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, [`${folder}/program.cjs`], { env, timeout: 30_000 })
  t.deepEqual(JSON.parse(JSON.stringify(await session(memoredOver(cache)))), JSON.parse(stdout))
})

test('one key in multiStore, which never calls back in memored, calls back', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const memored = memoredOver(cache)
  await new Promise<void>((resolve) => memored.multiStore({ a: 1 }, () => resolve()))
  t.is(await new Promise((resolve) => memored.read('a', (_error, value) => resolve(value))), 1)
})

test('a failed write without a callback does not throw', (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const memored = memoredOver(cache)
  cache.failNext('ERR_BUSY', { on: 'write' })
  t.notThrows(() => memored.store('a', 1))
  t.is(cache.pendingFailures, 0)
})
