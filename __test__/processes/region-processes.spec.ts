/**
 * Regions that several processes and threads use at once.
 */
import { setImmediate as turn } from 'node:timers/promises'
import test from 'ava'
import { openRegion, regions } from '../../index.ts'
import { fork } from '../helpers/fork.ts'
import { PATIENT, shared, throwsCode, user } from '../helpers/region-scene.ts'
import { openTestRegion, regionName } from '../helpers/region.ts'
import { startThread } from '../helpers/thread.ts'
import type { Answer } from '../children/region-user.ts'

test.serial('bytes that a program has moved to a buffer of its own stay usable after close', async (t) => {
  const names = regionName(t)
  const child = fork(t, 'region-user', { ...names, size: 4096 })
  t.is(await child.next(30_000), 'ready')
  t.deepEqual(await child.ask(['moveAway']), { value: [0, 42, 43] })
  t.deepEqual(regions.inspect(names.cache, names.name)?.processes, [])
  t.is((await child.ask<Answer>(['attached'])).code, 'ERR_CLOSED')
})

test.serial('4 processes count to 40,000 by plain reads and writes under the lock', async (t) => {
  t.timeout(120_000)
  const { region, names, child } = await shared(t)
  const children = [child, ...(await Promise.all([1, 2, 3].map(() => user(t, names))))]
  const repairs = await Promise.all(children.map((one) => one.ask<Answer>(['count', 10_000], 60_000)))
  t.deepEqual(
    repairs.map(({ value }) => value),
    [0, 0, 0, 0],
  )
  t.deepEqual([...new Float64Array(region.buffer, 0, 2)], [40_000, 40_000])
})

test.serial('5 threads count to 50,000 by plain reads and writes under the lock', async (t) => {
  t.timeout(120_000)
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const numbers = new Float64Array(region.buffer, 0, 2)
  const threads = Array.from({ length: 4 }, () => startThread(t, 'region-user', { ...names, size: 4096 }))
  for (const thread of threads) t.is(await thread.next(30_000), 'ready')
  const counting = threads.map((thread) => thread.ask<Answer>(['count', 10_000], 60_000))
  for (let i = 0; i < 10_000; i++) {
    if (i % 100 === 0) await turn()
    region.withLock(() => {
      numbers[0] = (numbers[0] as number) + 1
      numbers[1] = (numbers[1] as number) + 1
    }, PATIENT)
  }
  for (const { value } of await Promise.all(counting)) t.is(value, 0)
  t.deepEqual([...numbers], [50_000, 50_000])
})

test.serial('Atomics on the buffer are exact between processes and threads, but cannot wait', async (t) => {
  t.timeout(60_000)
  const { region, names, child } = await shared(t)
  const other = await user(t, names)
  const thread = startThread(t, 'region-user', { ...names, size: 4096 })
  t.is(await thread.next(30_000), 'ready')
  const counting = [child, other, thread].map((one) => one.ask(['countAtomically', 200_000], 30_000))
  await Promise.all(counting)
  const integers = new Int32Array(region.buffer, 16, 2)
  t.is(Atomics.load(integers, 0), 600_000)
  t.is(Atomics.compareExchange(new BigInt64Array(region.buffer, 24, 1), 0, 0n, -1n), 0n)
  t.throws(() => Atomics.wait(integers, 0, 0, 0), { instanceOf: TypeError })
})

test.serial('another size is refused as a mismatch, and changes nothing', async (t) => {
  const { region, names, child } = await shared(t)
  new Uint8Array(region.buffer)[0] = 7
  for (const size of [1, 4095, 4097, '1mb'] as const) {
    throwsCode(t, 'ERR_SEGMENT_MISMATCH', () => openRegion({ ...names, size }), /regions\.destroy/)
  }
  region.close()
  throwsCode(t, 'ERR_SEGMENT_MISMATCH', () => openRegion({ ...names, size: 8 }))
  t.is(
    (await child.ask<Answer>(['read', 0])).value,
    new Float64Array(new Uint8Array([7, 0, 0, 0, 0, 0, 0, 0]).buffer)[0],
  )
  t.deepEqual(
    regions.inspect(names.cache, names.name)?.processes.map(({ pid }) => pid),
    [child.process.pid],
  )
})

test.serial('racing creators get one region', async (t) => {
  const names = regionName(t)
  const children = await Promise.all([1, 2, 3, 4].map(() => user(t, names)))
  await children[0]?.ask(['write', 0, 3])
  for (const child of children) t.deepEqual(await child.ask(['read', 0]), { value: 3 })
  t.is(regions.inspect(names.cache, names.name)?.processes.length, 4)
})
