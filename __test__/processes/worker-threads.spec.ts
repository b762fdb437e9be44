/**
 * Worker threads of one process.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { segments } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { describing, numberIn } from '../helpers/self-describing.ts'
import { startThread } from '../helpers/thread.ts'

test.serial(
  'eight threads open one segment as one process, and nothing is lost when they are terminated under load',
  async (t) => {
    t.timeout(60_000)
    const name = segmentName(t)
    const cache = openCache(t, { name })
    for (let i = 0; i < 100; i++) cache.set(`kept${i}`, describing(`kept${i}`, i + 1))
    const threads = Array.from({ length: 8 }, () => startThread(t, 'mixed-load', { name, size: SMALL, keys: 100 }))
    for (const thread of threads) t.is(await thread.next(), 'ready')
    t.is(segments.inspect(name)?.processes.length, 1)

    for (const thread of threads) {
      await delay(Math.random() * 30) // into the middle of any step
      await within('the end of a thread', thread.worker.terminate())
      t.true(cache.set('after', 'a thread was terminated'))
      for (let i = 0; i < 100; i++) t.is(numberIn(`kept${i}`, cache.get(`kept${i}`)), i + 1)
    }
    t.deepEqual(problems(cache), [])
    t.is(segments.inspect(name)?.processes.length, 1)
  },
)

test.serial('the exit of a thread closes only its own handle', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const thread = startThread(t, 'operations', { name, size: SMALL })
  const other = startThread(t, 'operations', { name, size: SMALL })
  t.is(await thread.next(), 'ready')
  t.is(await other.next(), 'ready')
  await thread.ask(['set', 'a', 'by a thread'])
  await thread.worker.terminate()
  t.is(cache.get('a'), 'by a thread')
  t.deepEqual(await other.ask(['get', 'a']), { value: 'by a thread' })

  cache.close()
  t.is(segments.inspect(name)?.processes.length, 1, 'the other thread has it open')
  t.deepEqual(await other.ask(['set', 'b', 1]), { value: true })
  await other.worker.terminate()
  t.is(segments.inspect(name)?.processes.length, 0)
  t.true(segments.destroy(name))
})

test.serial('a terminated thread with pending waits affects no other wait', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  for (let round = 0; round < 5; round++) {
    const thread = startThread(t, 'operations', { name, size: SMALL })
    t.is(await thread.next(), 'ready')
    for (let i = 0; i < 10; i++) thread.worker.postMessage(['waitFor', `never${i}`])
    const mine = within('the entry', cache.waitFor(`mine${round}`))
    await thread.worker.terminate()
    for (let i = 0; i < 10; i++) cache.set(`never${i}`, i)
    cache.set(`mine${round}`, round)
    t.is((await mine).value, round)
    cache.clear()
  }
})

test.serial('threads wake each other', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const thread = startThread(t, 'operations', { name, size: SMALL })
  t.is(await thread.next(), 'ready')
  for (let i = 0; i < 20; i++) {
    const waiting = within('the entry', cache.waitFor(`to main ${i}`))
    await thread.ask(['set', `to main ${i}`, i])
    t.is((await waiting).value, i)

    thread.worker.postMessage(['waitFor', `to thread ${i}`])
    cache.set(`to thread ${i}`, i)
    const answer = await thread.next<{ value: { value: number } }>()
    t.is(answer.value.value, i)
  }
})

// A thread once left the buffer of its texts behind, up to 1 MiB.
const onLinux = process.platform === 'linux' ? test.serial : test.serial.skip

onLinux('threads that come and go leave no memory behind', async (t) => {
  t.timeout(120_000)
  const name = segmentName(t)
  openCache(t, { name })
  const [length, counted] = [900_000, 30]
  const child = fork(t, 'threads-come-and-go', { name, length, before: 10, counted })
  const grown = await child.next<number>(100_000)
  t.deepEqual(await within('its end', child.exit), { code: 0, signal: null })
  t.log(`${(grown / 2 ** 20).toFixed(1)} MB`)
  t.true(grown < (length * counted) / 2, `${grown} bytes`)
})
