/**
 * Snapshots beside other processes: under writers, under kills, at SIGTERM, and with one elected process of several.
 */
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { segments } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import type { Keeping, Question, State } from '../children/snapshot-keeper.ts'
import { eventually } from '../helpers/eventually.ts'
import { STARTED, fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { openCache, temporaryDirectory } from '../helpers/segment.ts'

const LIMIT = 240_000

interface Scene {
  readonly cache: SharedCache
  readonly folder: string
  readonly path: string
  start(work: Keeping['work'], more?: Partial<Keeping>): Child
}

function scene(t: ExecutionContext): Scene {
  t.timeout(LIMIT)
  const folder = temporaryDirectory(t)
  const path = join(folder, 'cache.snapshot')
  const cache = openCache(t, { size: '32mb' })
  const start = (work: Keeping['work'], more: Partial<Keeping> = {}): Child =>
    fork(t, 'snapshot-keeper', { name: cache.name, path, work, ...more } satisfies Keeping)
  return { cache, folder, path, start }
}

async function stateOf(child: Child, question: Question = 'state'): Promise<State> {
  return child.ask<State>(question)
}

interface Changed {
  readonly i: number
  readonly n: number
  readonly text: string
}

test.serial('under writers, what did not change is in the file, and what changed is in it whole', async (t) => {
  const { cache, path, start } = scene(t)
  for (let i = 0; i < 5000; i++) cache.set(`stable${i}`, i)
  const writers = [start('change'), start('change')]
  await Promise.all(writers.map((writer) => writer.next(STARTED)))
  for (let round = 0; round < 5; round++) {
    await cache.snapshot(path)
    const restored = openCache(t, { size: '32mb' })
    await restored.restore(path)
    for (let i = 0; i < 5000; i++) t.is(restored.get(`stable${i}`), i)
    for (let i = 0; i < 100; i++) {
      const value = restored.get(`w${i}`) as Changed
      t.deepEqual(value, { i, n: value.n, text: `${value.n} `.repeat(200) })
    }
    restored.close()
  }
})

test.serial('with one writer, an entry in the file is not older than the begin nor newer than the end', async (t) => {
  const { cache, path, start } = scene(t)
  for (let i = 0; i < 5000; i++) cache.set(`stable${i}`, 'x'.repeat(500))
  const writer = start('change')
  await writer.next(STARTED)
  const numbers = (): number[] => Array.from({ length: 100 }, (_, i) => (cache.get(`w${i}`) as Changed).n)
  for (let round = 0; round < 5; round++) {
    const before = numbers()
    await cache.snapshot(path)
    const after = numbers()
    const restored = openCache(t, { size: '32mb' })
    await restored.restore(path)
    for (let i = 0; i < 100; i++) {
      const { n } = restored.get(`w${i}`) as Changed
      t.true(n >= (before[i] as number) && n <= (after[i] as number), `${before[i]} <= ${n} <= ${after[i]}`)
    }
    restored.close()
  }
})

test.serial('kill -9 during a snapshot leaves the old file whole, and at most one file beside it', async (t) => {
  const { cache, folder, path, start } = scene(t)
  const value = Buffer.alloc(10_000, 1)
  for (let i = 0; i < 1000; i++) cache.set(`k${i}`, value)
  let sawLeftover = false
  for (let round = 0; round < 8; round++) {
    const child = start('write')
    await child.next(STARTED)
    const before = statSync(path).ino
    await eventually('a later snapshot is under way', () => statSync(path).ino !== before)
    await delay(Math.random() * 100)
    child.kill()
    await child.exit
    const beside = readdirSync(folder).filter((file) => file !== 'cache.snapshot')
    t.true(beside.length <= 1, beside.join(', '))
    sawLeftover ||= beside.length === 1
    const restored = openCache(t, { size: '32mb' })
    t.like(await restored.restore(path), { restored: 1000 })
    restored.close()
  }
  t.true(sawLeftover, 'a kill fell into a snapshot')
  await cache.snapshot(path)
  t.deepEqual(readdirSync(folder), ['cache.snapshot'])
})

test.serial('SIGTERM writes a snapshot and ends the process by the signal', async (t) => {
  const { cache, path, start } = scene(t)
  const child = start('keep', { every: '3600s' })
  await child.next(STARTED)
  await eventually('it leads', async () => (await stateOf(child)).leads)
  cache.set('a', 1)
  t.false(existsSync(path))
  child.kill('SIGTERM')
  t.deepEqual(await child.exit, { code: null, signal: 'SIGTERM' })
  t.like(await cache.restore(path), { entries: 2 }) // with the mark of the restore
})

for (const listener of ['on', 'once'] as const) {
  test.serial(`SIGTERM leaves the end to a listener of the application, added by ${listener}`, async (t) => {
    const { cache, path, start } = scene(t)
    const child = start('keep', { every: '3600s', listener })
    await child.next(STARTED)
    await eventually('it leads', async () => (await stateOf(child)).leads)
    cache.set('a', 1)
    child.kill('SIGTERM')
    t.deepEqual(await child.exit, { code: 7, signal: null })
    t.true(existsSync(path))
  })
}

test.serial('one of several processes writes, and another when it ends', async (t) => {
  const { cache, path, start } = scene(t)
  cache.set('a', 1)
  const children = [start('keep'), start('keep'), start('keep')]
  await Promise.all(children.map((child) => child.next(STARTED)))
  for (let left = children.length; left > 0; left--) {
    const states = async (): Promise<State[]> => Promise.all(children.map((child) => stateOf(child)))
    await eventually(
      'one leads and writes',
      async () => (await states()).some(({ leads, written }) => leads && written > 1),
      60_000,
    )
    const now = await states()
    t.is(now.filter(({ leads }) => leads).length, 1)
    t.deepEqual(
      now.flatMap(({ errors }) => errors),
      [],
    )
    const [leader] = children.splice(
      now.findIndex(({ leads }) => leads),
      1,
    )
    for (const { leads, written } of now) t.true(leads || written === 0)
    leader?.kill()
    await leader?.exit
  }
  const restored = openCache(t, { size: '32mb' })
  await restored.restore(path)
  t.is(restored.get('a'), 1)
})

test.serial('a process that keeps snapshots ends by itself', async (t) => {
  const { start } = scene(t)
  const child = start('leave', { every: '3600s' })
  await child.next(STARTED)
  t.deepEqual(await child.exit, { code: 0, signal: null })
})

test.serial('a new segment is restored once, and every process waits for it', async (t) => {
  const { cache, path, start } = scene(t)
  for (let i = 0; i < 2000; i++) cache.set(`k${i}`, 'x'.repeat(1000), { tags: ['all'] })
  await cache.snapshot(path)
  cache.close()
  segments.destroy(cache.name, { force: true })
  const children = [start('keep', { every: '3600s' }), start('keep', { every: '3600s' })]
  const states = await Promise.all(children.map((child) => child.next<State>(STARTED)))
  t.deepEqual(states[0]?.restored, states[1]?.restored)
  t.like(states[0]?.restored, { entries: 2000, restored: 2000, existing: 0 })
  const warm = openCache(t, { name: cache.name, size: '32mb' })
  t.is(warm.get('k7'), 'x'.repeat(1000))
  warm.delete('k7')
  const late = start('keep', { every: '3600s' })
  t.deepEqual((await late.next<State>(STARTED)).restored, states[0]?.restored)
  t.false(warm.has('k7'), 'it was restored once')
})

test.serial('a damaged file is reported and put aside, and the process goes on', async (t) => {
  const { cache, folder, path, start } = scene(t)
  writeFileSync(path, 'not a snapshot')
  const child = start('keep', { every: '3600s' })
  t.like(await child.next<State>(STARTED), { restored: undefined, errors: ['ERR_SNAPSHOT_CORRUPT'] })
  t.is(readFileSync(`${path}.refused`, 'utf8'), 'not a snapshot')
  cache.set('a', 1)
  await stateOf(child, 'snapshot')
  t.deepEqual(readdirSync(folder).toSorted(), ['cache.snapshot', 'cache.snapshot.refused'])
  t.like(await stateOf(child, 'stop'), { leads: false, written: 1 })
})
