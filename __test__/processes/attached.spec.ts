/**
 * Attached processes: which processes have a segment open, and what that prevents.
 */
import test from 'ava'
import { segments } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { allThrow, fill, provoke, stillFine } from '../helpers/provocations.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { startThread } from '../helpers/thread.ts'

test('the processes of a segment are the living processes that have it open', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  const pids = (): (number | undefined)[] => segments.inspect(name)?.processes.map(({ pid }) => pid) ?? []
  t.deepEqual(pids().toSorted(), [process.pid, child.process.pid].toSorted())
  t.is(cache.stats().processes, 2)

  child.kill()
  await child.exit
  await eventually('the killed process is gone', () => pids().length === 1)
  cache.close()
  t.deepEqual(pids(), [])
})

provoke(['ERR_SEGMENT_IN_USE'], 'an attached process prevents destroy', async (t) => {
  const name = segmentName(t)
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  allThrow(t, 'ERR_SEGMENT_IN_USE', [() => segments.destroy(name)])
  const cache = openCache(t, { name })
  fill(cache)
  child.kill()
  await child.exit
  allThrow(t, 'ERR_SEGMENT_IN_USE', [() => segments.destroy(name)])
  stillFine(t, cache)
  cache.close()
  await eventually('the killed process does not count', () => segments.destroy(name))
})

test('destroy counts the processes that inspect lists, also after a reload', async (t) => {
  const name = segmentName(t)
  const start = async (): Promise<ReturnType<typeof fork>> => {
    const child = fork(t, 'operations', { name, size: SMALL })
    await child.next()
    return child
  }
  const end = async (children: readonly ReturnType<typeof fork>[]): Promise<void> => {
    for (const child of children) child.kill()
    await Promise.all(children.map((child) => child.exit))
  }
  const agree = async (children: readonly ReturnType<typeof fork>[]): Promise<void> => {
    const pids = children.map((child) => child.process.pid).toSorted()
    await eventually('the ended processes are gone', () => segments.inspect(name)?.processes.length === pids.length)
    t.deepEqual(
      segments
        .inspect(name)
        ?.processes.map(({ pid }) => pid)
        .toSorted(),
      pids,
    )
    t.throws(() => segments.destroy(name), {
      code: 'ERR_SEGMENT_IN_USE',
      message: new RegExp(`\\b${pids.length} process`),
    })
  }
  const old = [await start(), await start()]
  await agree(old)
  // A reload starts new processes before it ends the old ones; the next ones get the places of the old.
  const renewed = [await start(), await start()]
  await agree([...old, ...renewed])
  await end(old)
  await agree(renewed)
  const newest = [await start(), await start()]
  await agree([...renewed, ...newest])
  await end(renewed)
  await agree(newest)
  await end(newest)
  await eventually('no process is left', () => segments.destroy(name))
})

test('a process with several handles and threads is one process', async (t) => {
  const name = segmentName(t)
  const caches = [openCache(t, { name }), openCache(t, { name })]
  const thread = startThread(t, 'operations', { name, size: SMALL })
  t.is(await thread.next(), 'ready')
  t.is(segments.inspect(name)?.processes.length, 1)
  t.is(caches[0]?.stats().processes, 1)
  t.throws(() => segments.destroy(name), { code: 'ERR_SEGMENT_IN_USE', message: /\b1 process/ })
  for (const cache of caches) cache.close()
  t.is(segments.inspect(name)?.processes.length, 1, 'the thread is attached')
  await thread.worker.terminate()
  await eventually('the end of the thread', () => segments.destroy(name))
})
