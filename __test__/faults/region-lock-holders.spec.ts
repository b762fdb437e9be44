/**
 * The holder of the lock of a region is killed, suspended (SIGSTOP) or terminated, or it exits.
 */
import test from 'ava'
import { CacheError, regions } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { PATIENT, shared, user } from '../helpers/region-scene.ts'
import { openTestRegion, regionName } from '../helpers/region.ts'
import { isSuspended } from '../helpers/system.ts'
import { startThread } from '../helpers/thread.ts'
import type { Answer } from '../children/region-user.ts'

test.serial(
  'a living holder keeps the lock, also when it is suspended; other processes get ERR_BUSY in time',
  async (t) => {
    const { region, child } = await shared(t)
    t.deepEqual(await child.ask(['take', 1000]), { value: false })
    child.kill('SIGSTOP')
    await isSuspended(child.process.pid)
    for (const timeout of [0, 60, undefined]) {
      const limit = timeout ?? 100
      const before = performance.now()
      t.throws(() => region.withLock(() => 1, { timeout }), { instanceOf: CacheError, code: 'ERR_BUSY' })
      const took = performance.now() - before
      t.true(took >= limit * 0.9, `gave up after ${took} ms`)
      t.true(took < limit + 2000, `only after ${took} ms`)
    }
    t.is(region.tryLock(), undefined)
    child.kill('SIGCONT')
    await child.ask(['release'])
    t.false(region.withLock(({ recovered }) => recovered))
  },
)

test.serial('the lock of a killed holder is free at once, and its next holder learns of the death', async (t) => {
  const { region, child } = await shared(t)
  await child.ask(['take', 1000])
  t.is(region.tryLock(), undefined)
  child.kill()
  await child.exit
  const lock = region.tryLock()
  t.true(lock?.recovered)
  lock?.release()
  t.false(region.withLock(({ recovered }) => recovered))
})

test.serial('a waiter gets the lock of a holder that is killed meanwhile', async (t) => {
  const { names, child } = await shared(t)
  const waiter = await user(t, names)
  await child.ask(['take', 1000])
  const waiting = waiter.ask<Answer>(['take', 20_000])
  t.is((await user(t, names).then((other) => other.ask<Answer>(['take', 0]))).code, 'ERR_BUSY')
  const before = performance.now()
  child.kill()
  t.deepEqual(await waiting, { value: true })
  t.log(`${(performance.now() - before).toFixed(1)} ms from the signal to the waiter's answer`)
})

test.serial('a process that exits while it holds the lock counts as not finished', async (t) => {
  const { region, child } = await shared(t)
  child.send(['exitInside'])
  t.deepEqual(await within('the exit', child.exit), { code: 0, signal: null })
  t.true(region.tryLock()?.recovered)
})

test.serial('a thread that is terminated while it holds the lock counts as not finished', async (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const thread = startThread(t, 'region-user', { ...names, size: 4096 })
  t.is(await thread.next(30_000), 'ready')
  t.deepEqual(await thread.ask(['take', 1000]), { value: false })
  t.is(region.tryLock(), undefined)
  t.is(regions.inspect(names.cache, names.name)?.processes.length, 1, 'threads share a process slot')
  await thread.worker.terminate()
  const lock = region.tryLock()
  t.true(lock?.recovered)
  lock?.release()
  t.false(region.withLock(({ recovered }) => recovered))
})

test.serial(
  'the count is exact although holders are killed between two writes, and each death is reported once',
  async (t) => {
    t.timeout(180_000)
    const DEATHS = 8
    const { region, names, child } = await shared(t)
    const children = [child, ...(await Promise.all([1, 2, 3].map(() => user(t, names))))]
    const victims = await Promise.all(Array.from({ length: DEATHS }, () => user(t, names)))
    const counting = children.map((one) => one.ask<Answer>(['count', 10_000], 120_000))
    let told = 0
    for (const victim of victims) {
      victim.send(['dieInside'])
      t.is((await within('the death', victim.exit, 60_000)).signal, 'SIGKILL')
      // The last message of the victim itself: it may have come after another victim.
      told += await victim.next<Answer>().then(
        ({ value }) => value as number,
        () => 0,
      )
    }
    for (const answer of await Promise.all(counting)) told += answer.value as number
    told += region.withLock(({ recovered }) => {
      const numbers = new Float64Array(region.buffer, 0, 2)
      if (recovered) numbers[1] = numbers[0] as number
      return Number(recovered)
    }, PATIENT)
    t.is(told, DEATHS)
    t.deepEqual([...new Float64Array(region.buffer, 0, 2)], [40_000 + DEATHS, 40_000 + DEATHS])
  },
)
