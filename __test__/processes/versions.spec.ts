/**
 * Versions of an application in several processes: side by side, and after the last process of one of them.
 */
import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { open } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import type { Answer } from '../children/operations.ts'
import { onNative } from '../helpers/engine.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { fork, typeScript } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { advance, problems } from '../helpers/internals.ts'
import { SMALL, openCache, openStopped, segmentName } from '../helpers/segment.ts'

const test = onNative('several processes')

async function child(t: ExecutionContext, name: string, version?: string): Promise<Child> {
  const started = fork(t, 'operations', { name, size: SMALL, ...(version !== undefined && { version }) })
  await started.next()
  return started
}

async function ok(process: Child, ...order: unknown[]): Promise<unknown> {
  const answer = await process.ask<Answer>(order)
  if (answer.code !== undefined) throw new Error(`${answer.code}: ${answer.message}`)
  return answer.value
}

function used(cache: SharedCache): Record<string, number> {
  return Object.fromEntries(cache.stats().versions.map(({ name, processes }) => [name, processes]))
}

test('old and new processes work side by side, and clear spans them', async (t) => {
  const name = segmentName(t)
  const none = openCache(t, { name })
  const [old1, old2, new1] = await Promise.all([child(t, name, 'v1'), child(t, name, 'v1'), child(t, name, 'v2')])
  t.deepEqual(used(none), { v1: 2, v2: 1 })
  for (let i = 0; i < 20; i++) {
    await ok(old1, 'set', 'user', { firstName: `Ada${i}` }, { tags: ['users'] })
    await ok(new1, 'set', 'user', { name: { first: `Grace${i}` } }, { tags: ['users'] })
    t.deepEqual(await ok(old2, 'get', 'user'), { firstName: `Ada${i}` })
    t.deepEqual(await ok(new1, 'get', 'user'), { name: { first: `Grace${i}` } })
    await ok(old2, 'incr', 'n')
  }
  t.is(await ok(old1, 'get', 'n'), 20)
  t.is(await ok(new1, 'get', 'n'), undefined)
  await ok(new1, 'invalidateTags', ['users'])
  t.is(await ok(old1, 'get', 'user'), undefined)
  t.is(await ok(old1, 'get', 'n'), 20)
  await ok(old2, 'clear')
  t.is(await ok(old1, 'get', 'n'), undefined)
  t.deepEqual(problems(none), [])
})

test('the entries of a version go when its last process was killed, and those of others stay', async (t) => {
  const name = segmentName(t)
  const none = openStopped(t, { name })
  const [old1, old2, new1] = await Promise.all([child(t, name, 'v1'), child(t, name, 'v1'), child(t, name, 'v2')])
  for (let i = 0; i < 50; i++) {
    await ok(old1, 'set', `key${i}`, 'old')
    await ok(new1, 'set', `key${i}`, 'new')
  }
  none.set('key', 'none')
  old1.kill()
  await old1.exit
  t.deepEqual(used(none), { v1: 1, v2: 1 })
  advance(none, 3_600_000)
  t.is(await ok(old2, 'get', 'key7'), 'old')
  old2.kill()
  await old2.exit
  t.deepEqual(used(none), { v1: 0, v2: 1 })
  await eventually('the entries of v1 are removed', () => {
    advance(none, 20_000)
    return used(none)['v1'] === undefined
  })
  t.is(none.size, 51)
  for (let i = 0; i < 50; i++) t.is(await ok(new1, 'get', `key${i}`), 'new')
  t.is(none.get('key'), 'none')
  const late = await child(t, name, 'v1')
  t.is(await ok(late, 'get', 'key7'), undefined)
  t.deepEqual(problems(none), [])
})

test('a lock spans versions, also when its holder is killed', async (t) => {
  const name = segmentName(t)
  const holder = fork(t, 'permit-taker', { name, size: SMALL, version: 'v1' })
  const next = fork(t, 'permit-taker', { name, size: SMALL, version: 'v2' })
  await Promise.all([holder.next(), next.next()])
  const { token } = await holder.ask<{ token: number }>(['lock', 'job'])
  const waiting = next.ask<{ token: number }>(['lock', 'job'])
  holder.kill()
  await holder.exit
  t.true((await waiting).token > token)
})

test('during a reload of a cluster each worker sees the values of its version only', async (t) => {
  t.timeout(120_000)
  const name = segmentName(t)
  const settings = cluster.settings
  t.teardown(() => cluster.setupPrimary(settings))
  cluster.setupPrimary({
    exec: fileURLToPath(new URL('../children/operations.ts', import.meta.url)),
    execArgv: [...typeScript],
    serialization: 'advanced',
  })
  const start = async (version: string): Promise<Worker> => {
    cluster.setupPrimary({ args: [JSON.stringify({ name, size: SMALL, version })] })
    const worker = cluster.fork()
    t.teardown(() => worker.kill('SIGKILL'))
    await within('a worker', once(worker, 'message'), 40_000)
    return worker
  }
  const ask = async (worker: Worker, ...order: unknown[]): Promise<unknown> => {
    const answer = once(worker, 'message')
    worker.send(order)
    const [{ value, code }] = (await within('an answer', answer)) as [Answer]
    t.is(code, undefined)
    return value
  }
  const cache = open({ name, size: SMALL })
  t.teardown(() => cache.close())
  let workers: Worker[] = await Promise.all([start('v1'), start('v1')])
  await ask(workers[0] as Worker, 'set', 'user', 'shape of v1')
  for (const version of ['v2', 'v3']) {
    const old = workers
    workers = []
    for (const worker of old) {
      const replacement = await start(version)
      await ask(replacement, 'set', 'user', `shape of ${version}`)
      const before = `v${Number(version[1]) - 1}`
      t.is(await ask(worker, 'get', 'user'), `shape of ${before}`)
      worker.kill()
      await within('the end of a worker', once(worker, 'exit'))
      workers.push(replacement)
    }
    for (const worker of workers) t.is(await ask(worker, 'get', 'user'), `shape of ${version}`)
    t.is(used(cache)[version], 2)
  }
  t.deepEqual(Object.keys(used(cache)).toSorted(), ['v1', 'v2', 'v3'], 'they stay for a minute')
})
