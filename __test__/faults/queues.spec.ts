/**
 * Pushers and takers of queues are killed: nothing that was pushed is lost, and an item is delivered twice only after a
 * death.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { eventually, within } from '../helpers/eventually.ts'
import { STARTED, fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import type { QueueWork } from '../children/queue-worker.ts'

/** `KILLS=2000` for a campaign. */
const KILLS = Number(process.env['KILLS'] ?? 40)
const ITEMS_EACH = 100

interface Note {
  readonly what: string
  readonly value: number
  readonly pid: number
}

/** A file for notes that ends with the test, and what is in it. */
function notesOf(t: ExecutionContext): { file: string; read: () => Note[] } {
  const folder = mkdtempSync(join(tmpdir(), 'queue-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const file = join(folder, 'notes')
  writeFileSync(file, '')
  const read = (): Note[] =>
    readFileSync(file, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(' '))
      .map(([what = '', value, pid]) => ({ what, value: Number(value), pid: Number(pid) }))
  return { file, read }
}

test.serial(`${KILLS} killed pushers and takers lose no item, and only a death delivers one twice`, async (t) => {
  t.timeout(120_000 + KILLS * 1000)
  const name = segmentName(t)
  const cache = openCache(t, { name, size: '16mb' })
  const queue = cache.queue<number>('jobs')
  const { file, read } = notesOf(t)
  const options = { name, size: '16mb' } as const
  const begin = async (work: Partial<QueueWork>): Promise<Child> => {
    const child = fork(t, 'queue-worker', { options, notes: file, ...work } satisfies QueueWork)
    await child.next(STARTED)
    return child
  }
  const takers = await Promise.all([begin({}), begin({})])
  const killed = new Set<number>()
  const kill = (child: Child | undefined): void => {
    if (child?.process.pid !== undefined) killed.add(child.process.pid)
    child?.kill()
  }
  for (let i = 0; i < KILLS; i++) {
    const pusher = await begin({ pushes: ITEMS_EACH, first: i * ITEMS_EACH })
    await pause((i * 7) % 20)
    if (i % 2 === 0) {
      kill(pusher)
    } else {
      kill(takers[i % 4 === 1 ? 0 : 1])
      takers[i % 4 === 1 ? 0 : 1] = await begin({})
      await within('the pusher', pusher.next(60_000))
    }
  }
  const isIdle = (): boolean => {
    const { ready, taken } = queue.counts()
    return ready + taken === 0
  }
  await eventually('the queue is empty', isIdle, 60_000)
  for (const taker of takers) kill(taker)
  await Promise.all(takers.map(({ exit }) => exit))

  const notes = read()
  const of = (what: string): Note[] => notes.filter((note) => note.what === what)
  const [pushed, begun, ended] = [of('pushed'), of('begun'), of('ended')]
  const delivered = new Set(begun.map(({ value }) => value))
  t.deepEqual(
    pushed.filter(({ value }) => !delivered.has(value)),
    [],
    'an acknowledged push was lost',
  )
  // Each delivery but the last of an item was to a process that was killed.
  const last = new Map(begun.map((note, i) => [note.value, i]))
  const again = begun.filter((note, i) => last.get(note.value) !== i)
  t.deepEqual(
    again.filter(({ pid }) => !killed.has(pid)),
    [],
    'an item was delivered twice without a death',
  )
  const endings = ended.map(({ value }) => value)
  t.is(new Set(endings).size, endings.length, 'an item ended twice')
  t.log(
    `${pushed.length} pushes, ${begun.length} deliveries, ${again.length} of them repeated, ${ended.length} noted ends`,
  )
  t.true(pushed.length > 0 && ended.length > 0)
  t.deepEqual(queue.counts(), { ready: 0, taken: 0, dead: 0, waiting: 0 })
  t.deepEqual(problems(cache), [])
})

test.serial('the items of a killed taker return at once and go to the one that waits', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: SMALL })
  const queue = cache.queue<number>('jobs', { visibility: '1h' })
  const taker = fork(t, 'permit-taker', { name, size: SMALL })
  await taker.next(STARTED)
  queue.push(1)
  queue.push(2)
  t.is(await taker.ask(['takeItem', 'jobs']), 1)
  t.is(queue.tryTake()?.value, 2)
  const waiting = queue.take()
  await eventually('it waits', () => queue.counts().waiting === 1)
  taker.kill()
  const item = await within('the item', waiting)
  t.deepEqual([item.value, item.attempts], [1, 2])
})

test.serial('an item that kills its takers becomes a dead letter', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, size: SMALL })
  const queue = cache.queue<number>('jobs', { attempts: 2 })
  queue.push(1)
  for (let i = 0; i < 2; i++) {
    const taker = fork(t, 'permit-taker', { name, size: SMALL })
    await taker.next(STARTED)
    t.is(await taker.ask(['takeItem', 'jobs']), 1)
    taker.kill()
    await taker.exit
  }
  t.is(queue.tryTake(), undefined)
  t.deepEqual(
    queue.deadLetters().map(({ value }) => value),
    [1],
  )
})
