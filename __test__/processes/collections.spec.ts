/**
 * Collections between processes: each item is taken once, each count is exact, and what a killed process had
 * acknowledged is there.
 */
import test from 'ava'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { openCache } from '../helpers/segment.ts'

const SIZE = '8mb'

test.serial('four processes take each item of a list once, and count exactly', async (t) => {
  t.timeout(120_000)
  const cache = openCache(t, { size: SIZE })
  const items = Array.from({ length: 4000 }, (_, n) => n)
  cache.list('work').pushMany(items)
  const children = [0, 1, 2, 3].map((id) => fork(t, 'collector', { name: cache.name, size: SIZE, id }))
  await Promise.all(children.map((child) => child.next()))
  for (const child of children) child.send('take')
  const taken = await Promise.all(children.map((child) => child.next<number[]>()))
  for (const some of taken)
    t.deepEqual(
      some,
      some.toSorted((a, b) => a - b),
    )
  t.deepEqual(
    taken.flat().toSorted((a, b) => a - b),
    items,
  )
  t.is(cache.hash('hash').get('taken'), items.length)
  t.deepEqual(
    cache
      .sortedSet<number>('board')
      .toArray()
      .toSorted(([a], [b]) => a - b),
    Array.from({ length: 10 }, (_, n) => [n, items.length / 10]),
  )
  t.is(cache.setOf('seen').size, 10)
  t.false(cache.has('work'))
})

test.serial('what killed processes had pushed is there once and in order', async (t) => {
  t.timeout(120_000)
  const cache = openCache(t, { size: SIZE })
  const pushed = cache.list<[id: number, number: number]>('pushed')
  for (let round = 0; round < 4; round++) {
    const ids = [3 * round, 3 * round + 1, 3 * round + 2]
    const children = ids.map((id) => fork(t, 'collector', { name: cache.name, size: SIZE, id }, { stdout: 'pipe' }))
    await Promise.all(children.map((child) => child.next()))
    const begun = children.map(
      (child) => new Promise<void>((resolve) => child.process.stdout?.once('data', () => resolve())),
    )
    for (const child of children) child.send('push')
    await Promise.all(begun)
    // Not at once, so that the kills meet changes.
    for (const child of children) {
      await new Promise((resolve) => setImmediate(resolve))
      child.kill()
    }
    await Promise.all(children.map((child) => child.exit))
    const found = pushed.toArray()
    for (const [index, id] of ids.entries()) {
      const own = found.filter(([other]) => other === id).map(([, number]) => number)
      const acknowledged = children[index]?.output.split('\n').length ?? 0
      t.deepEqual(
        own,
        own.map((_, number) => number),
      )
      // The last line is empty.
      t.true(own.length >= acknowledged - 1 && own.length <= acknowledged, `${own.length} of ${acknowledged - 1}`)
    }
    pushed.trim(0, 0)
  }
  t.deepEqual(problems(cache), [])
})
