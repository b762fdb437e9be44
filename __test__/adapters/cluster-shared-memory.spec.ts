/**
 * cache-machine/cluster-shared-memory, and the same calls of cluster-shared-memory 1.
 */
import { createRequire } from 'node:module'
import test from 'ava'
import { sharedMemory } from '../../lib/adapters/cluster-shared-memory.ts'
import type { SharedMemory } from '../../lib/adapters/cluster-shared-memory.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/cluster-shared-memory.ts'

adapterSuite('cluster-shared-memory', driver)

/** What a program sees of either controller. */
async function session(controller: SharedMemory): Promise<unknown[]> {
  const seen: unknown[] = []
  const heard: unknown[] = []
  controller.listen('a', (value) => heard.push(value))
  seen.push(await controller.set('a', { n: 1 }), await controller.get('a'), await controller.get('nothing'))
  seen.push(await new Promise((resolve) => controller.get('a', resolve)))
  seen.push(await new Promise((resolve) => controller.set('b', 'text', resolve)), await controller.get('b'))
  const id = await controller.getLock('b')
  let isFree = false
  const waiting = controller.mutex('b', async () => {
    seen.push(isFree)
    return 'result'
  })
  seen.push(typeof id, await controller.releaseLock('b', 'wrong'))
  isFree = true
  seen.push(await controller.releaseLock('b', id), await waiting)
  seen.push(await controller.setLRU('a', 'other'), await controller.getLRU('a'), await controller.get('a'))
  seen.push(await controller.removeLRU('a'), await controller.getLRU('a'))
  seen.push(await controller.remove('b'), await controller.get('b'))
  while (heard.length < 1) await new Promise((resolve) => setImmediate(resolve))
  return [...seen, heard]
}

test('a program sees the same as with cluster-shared-memory', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const original = createRequire(import.meta.url)('cluster-shared-memory') as SharedMemory
  t.deepEqual(await session(sharedMemory(cache)), await session(original))
})

test('a listener hears of changes by another cache, and an error keeps no lock', async (t) => {
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  const [one, two] = [sharedMemory(first), sharedMemory(second)]
  const heard = new Promise((resolve) => one.listen('a', resolve))
  await two.set('a', 5)
  t.is(await heard, 5)
  await t.throwsAsync(
    one.mutex('a', () => Promise.reject(new Error('of the work'))),
    { message: 'of the work' },
  )
  t.is(await two.mutex('a', () => 'free'), 'free')
})

test('an object of setLRU has a lifetime, and the error of a write with a callback is logged', async (t) => {
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  t.teardown(() => cache.close())
  const controller = sharedMemory(cache)
  await controller.setLRU('usual', 1)
  controller.setLRUOptions({ max: 10, maxAge: 1000 })
  await controller.setLRU('short', 1)
  clock.advance(1000)
  t.deepEqual([await controller.getLRU('usual'), await controller.getLRU('short')], [1, undefined])
  clock.advance('5m')
  t.is(await controller.getLRU('usual'), undefined)
  cache.failNext('ERR_BUSY', { on: 'write' })
  const logged = new Promise<unknown>((resolve) => (controller.logger = resolve))
  controller.set('a', 1, () => t.fail())
  t.like(await logged, { code: 'ERR_BUSY' })
})
