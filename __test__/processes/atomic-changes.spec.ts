/**
 * Changes by several processes at once: none is lost, and each entry is won or taken once. One test at a time: together
 * they would start twenty processes at once.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import type { Changer } from '../children/changer.ts'

test.serial('each key is won once by four processes that add the same keys', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = Array.from({ length: 4 }, () =>
    fork(t, 'contender', { name, size: SMALL, keys: 2000, method: 'add' }),
  )
  await Promise.all(children.map((child) => child.next()))
  const wins = await Promise.all(children.map((child) => child.ask<string[]>('go')))
  t.is(wins.flat().length, 2000)
  t.is(new Set(wins.flat()).size, 2000)
  for (const [index, keys] of wins.entries()) {
    for (const key of keys) t.is(cache.get(key), children[index]?.process.pid)
  }
})

test.serial('read, change and write with a version loses no change of four processes', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('list', { length: 0 })
  const children = Array.from({ length: 4 }, () => fork(t, 'swapper', { name, size: SMALL, times: 500 }))
  await Promise.all(children.map((child) => child.next()))
  await Promise.all(children.map((child) => child.ask('go', 30_000)))
  t.deepEqual(cache.get('list'), { length: 2000 })
})

test.serial('four processes that increment lose no increment', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = Array.from({ length: 4 }, () => fork(t, 'counter', { name, size: SMALL, times: 20_000 }))
  await Promise.all(children.map((child) => child.next()))
  await Promise.all(children.map((child) => child.ask('go', 30_000)))
  t.is(cache.get('counter'), 80_000)
})

test.serial('each entry is taken once by four processes that take the same keys', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '64mb' })
  // Every tenth value does not fit one native call, so that it is taken in two steps.
  const keys = Array.from({ length: 1000 }, (_, index) => `key${index}`)
  for (const [index, key] of keys.entries()) cache.set(key, index % 10 === 0 ? Buffer.alloc(100_000) : index)
  const children = Array.from({ length: 4 }, () =>
    fork(t, 'contender', { name, size: '64mb', keys: keys.length, method: 'take' }),
  )
  await Promise.all(children.map((child) => child.next()))
  const taken = await Promise.all(children.map((child) => child.ask<string[]>('go', 30_000)))
  t.deepEqual(taken.flat().toSorted(), keys.toSorted())
  t.is(cache.size, 0)
})

test.serial('a value that is set between the two steps of taking large bytes is not lost', async (t) => {
  // Each of 1,500 values waits until the scheduler runs a taker: on a busy machine tens of milliseconds.
  t.timeout(240_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const takers = Array.from({ length: 3 }, () => fork(t, 'relay-taker', { name, size: SMALL }))
  await Promise.all(takers.map((taker) => taker.next()))
  const bytes = Buffer.alloc(100_000)
  const relay = async (value: unknown): Promise<void> => {
    while (!cache.add('relay', value)) await turn()
  }
  // Large bytes and numbers alternate: a taker that was told "large" may find a number in its place, and must not take
  // it.
  for (let i = 1; i <= 1500; i++) {
    bytes.writeUInt32LE(i)
    await relay(i % 2 === 0 ? i : bytes)
  }
  const ends = takers.map((taker) => taker.next<number[]>(20_000))
  for (let i = 0; i < takers.length; i++) await relay('end')
  const numbers = await Promise.all(ends)
  t.is(numbers.flat().length, 1500)
  t.is(new Set(numbers.flat()).size, 1500)
})

const PROCESSES = 4

/** What four processes got that changed the key at the same time, and the cache afterwards. */
async function byFour(
  t: ExecutionContext,
  method: Changer['method'],
  times: number,
): Promise<{ cache: SharedCache; got: unknown[][] }> {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const changers = Array.from({ length: PROCESSES }, (_, me) =>
    fork(t, 'changer', { name, size: SMALL, me, times, method } satisfies Changer),
  )
  await Promise.all(changers.map((child) => child.next()))
  const got = await Promise.all(changers.map((child) => child.ask<unknown[]>('go', 40_000)))
  return { cache, got }
}

function allValues(times: number): string[] {
  return Array.from({ length: PROCESSES * times }, (_, i) => `${Math.floor(i / times)}:${i % times}`)
}

test.serial('each value is returned exactly once to four processes that swap', async (t) => {
  const { cache, got } = await byFour(t, 'swap', 500)
  const last = cache.get('key')
  const returned = [...got.flat(), last]
  t.is(returned.filter((value) => value === undefined).length, 1, 'the first swap found nothing')
  t.deepEqual(returned.filter((value) => value !== undefined).toSorted(), allValues(500).toSorted())
})

test.serial('four processes that update lose no change', async (t) => {
  const { cache, got } = await byFour(t, 'update', 100)
  t.deepEqual((cache.get('key') as string[]).toSorted(), allValues(100).toSorted())
  for (const lists of got as string[][][]) {
    t.true(lists.every((list, i) => list.length > i && list.at(-1)?.endsWith(`:${i}`)))
  }
})

test.serial('four processes that append lose no addition and cut none', async (t) => {
  const { cache } = await byFour(t, 'append', 200)
  const lines = (cache.get('key') as string).split('\n')
  t.is(lines.pop(), '')
  t.deepEqual(lines.toSorted(), allValues(200).toSorted())
})

test.serial('four processes that increment a bigint lose no increment', async (t) => {
  const { cache, got } = await byFour(t, 'incrBigInt', 300)
  t.is(cache.get('key'), 1200n * 2n ** 64n)
  t.is(new Set(got.flat()).size, 1200, 'all processes got different numbers')
})
