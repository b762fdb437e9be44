/**
 * Several processes and threads under a mixed load agree on every value.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { startThread } from '../helpers/thread.ts'
import type { Thread } from '../helpers/thread.ts'
import type { Picture } from '../children/mixed-load.ts'

const KEYS = 200

const OPERATIONS = 20_000

for (const count of [2, 4]) {
  test.serial(`${count} processes agree on every value under a mixed load`, async (t) => {
    const name = segmentName(t)
    const load = { name, size: SMALL, keys: KEYS, operations: OPERATIONS }
    await agree(
      t,
      name,
      Array.from({ length: count }, () => fork(t, 'mixed-load', load)),
    )
  })

  test.serial(`${count} worker threads agree on every value under a mixed load`, async (t) => {
    const name = segmentName(t)
    const load = { name, size: SMALL, keys: KEYS, operations: OPERATIONS }
    await agree(
      t,
      name,
      Array.from({ length: count }, () => startThread(t, 'mixed-load', load)),
    )
  })
}

test.serial('processes and worker threads together agree on every value', async (t) => {
  const name = segmentName(t)
  const load = { name, size: SMALL, keys: KEYS, operations: OPERATIONS }
  const workers = [0, 1].flatMap(() => [fork(t, 'mixed-load', load), startThread(t, 'mixed-load', load)])
  await agree(t, name, workers)
})

test.serial('a process sees the writes of others in the order in which they were made', async (t) => {
  const name = segmentName(t)
  const cache = openCache<number>(t, { name })
  const child = fork(t, 'counter', { name, size: SMALL, times: 200_000 })
  await child.next()
  child.send('go')
  let last = 0
  let version = 0
  let different = 0
  while (last < 200_000) {
    const entry = cache.getEntry('counter')
    if (!entry) continue
    if (entry.value < last || entry.version < version) t.fail(`from ${last} back to ${entry.value}`)
    if (entry.value !== last) different++
    if (entry.value > last !== entry.version > version) t.fail('value and version do not belong together')
    last = entry.value
    version = entry.version
  }
  t.true(different > 0)
})

/** All workers do their operations without a wrong value, and then read the same values. */
async function agree(t: ExecutionContext, name: string, workers: (Child | Thread)[]): Promise<void> {
  t.timeout(60_000)
  await Promise.all(workers.map((worker) => worker.next()))
  const reads = await Promise.all(workers.map((worker) => worker.next<number>(60_000)))
  t.true(
    reads.every((count) => count > OPERATIONS / 10),
    `${reads.join(', ')} values read`,
  )
  const pictures = await Promise.all(workers.map((worker) => worker.ask<Picture>('read')))
  const [first] = pictures
  t.true((first?.filter(([, version]) => version > 0).length ?? 0) > KEYS / 4)
  for (const picture of pictures) t.deepEqual(picture, first)
  t.deepEqual(problems(openCache(t, { name })), [])
}
