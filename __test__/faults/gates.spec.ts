/**
 * Events, barriers and conditions between processes and threads, some of which are killed or suspended (SIGSTOP).
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import type { Child } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { startTaker, startTakerThread } from '../helpers/permit-takers.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { isSuspended } from '../helpers/system.ts'

async function openWith(t: ExecutionContext, count: number): Promise<{ cache: SharedCache; children: Child[] }> {
  t.timeout(60_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = await Promise.all(Array.from({ length: count }, async () => startTaker(t, name)))
  return { cache, children }
}

/** Asks for something that ends when the test decides, if the child lives so long. */
function asks<T>(child: { ask: <R>(message: unknown, limit?: number) => Promise<R> }, order: unknown): Promise<T> {
  const answer = child.ask<T>(order, 50_000)
  answer.catch(() => undefined)
  return answer
}

test.serial('an event wakes the waiters of all processes and threads', async (t) => {
  const { cache, children } = await openWith(t, 3)
  const thread = await startTakerThread(t, cache.name)
  const waits = [...children, thread].map((child) => asks<string>(child, ['event', 'warm']))
  await eventually('all wait', () => cache.event('warm').waiting === 4)
  t.true(cache.event('warm').set())
  t.deepEqual(await within('the waiters', Promise.all(waits)), ['set', 'set', 'set', 'set'])
  t.deepEqual(problems(cache), [])
})

test.serial('a barrier over processes passes only as a whole, and exactly one party is the last', async (t) => {
  const { cache, children } = await openWith(t, 3)
  for (let round = 0; round < 10; round++) {
    const waits = children.map((child) => asks<boolean>(child, ['barrier', 'b', 4]))
    await eventually('three wait', () => cache.barrier('b', 4).waiting === 3)
    const last = [await cache.barrier('b', 4).wait(), ...(await within('the others', Promise.all(waits)))]
    t.deepEqual(last, [true, false, false, false])
  }
})

test.serial('a killed party leaves the barrier, and a new one takes its place', async (t) => {
  const { cache, children } = await openWith(t, 3)
  const [first, second, third] = children as [Child, Child, Child]
  void asks(first, ['barrier', 'b', 3])
  const waiting = asks<boolean>(second, ['barrier', 'b', 3])
  await eventually('two wait', () => cache.barrier('b', 3).waiting === 2)
  first.kill()
  await first.exit
  t.is(cache.barrier('b', 3).waiting, 1)
  const replaced = asks<boolean>(third, ['barrier', 'b', 3])
  await eventually('two wait again', () => cache.barrier('b', 3).waiting === 2)
  t.true(await cache.barrier('b', 3).wait())
  t.deepEqual(await within('the others', Promise.all([waiting, replaced])), [false, false])
})

test.serial('a condition passes over killed waiters, also after they were notified', async (t) => {
  const { cache, children } = await openWith(t, 3)
  const condition = cache.condition('c')
  const [first, second, third] = children as [Child, Child, Child]
  const waits: Promise<string>[] = []
  for (const [i, child] of children.entries()) {
    waits.push(asks(child, ['notified', 'c']))
    await eventually('it waits', () => condition.waiting === i + 1)
  }
  // The first one cannot notice that it was notified.
  first.kill('SIGSTOP')
  await isSuspended(first.process.pid)
  t.is(condition.notify(), 1)
  t.is(condition.waiting, 2)
  first.kill()
  // The notice goes to the second one, which finds out about the death by itself.
  t.is(await within('the second waiter', waits[1] as Promise<string>), 'notified')
  second.kill()
  t.is(condition.waiting, 1)
  t.is(condition.notify(5), 1)
  t.is(await within('the third waiter', waits[2] as Promise<string>), 'notified')
  third.kill()
  t.deepEqual(problems(cache), [])
})

test.serial('a terminated thread leaves the barrier', async (t) => {
  const { cache } = await openWith(t, 0)
  const thread = await startTakerThread(t, cache.name)
  void asks(thread, ['barrier', 'b', 2])
  await eventually('it waits', () => cache.barrier('b', 2).waiting === 1)
  await thread.worker.terminate()
  await eventually('no thread waits', () => cache.barrier('b', 2).waiting === 0)
  t.deepEqual(problems(cache), [])
})
