/**
 * Stats are summed over processes, and stay when a process ends.
 */
import test from 'ava'
import type { Stats } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'

const COUNTED = ['hits', 'misses', 'sets', 'deletes', 'evictions', 'expirations', 'entries'] as const

function counted(stats: Stats): Record<string, number> {
  return Object.fromEntries(COUNTED.map((name) => [name, stats[name]]))
}

test('all processes count into the same sums, and a killed process leaves its counts', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = [0, 1, 2].map(() => fork(t, 'operations', { name, size: SMALL }))
  await Promise.all(children.map((child) => child.next()))
  t.is(cache.stats().processes, 4)
  for (const [i, child] of children.entries()) {
    await child.ask(['set', `k${i}`, i])
    await child.ask(['get', `k${i}`])
    await child.ask(['getMany', [`k${i}`, 'none', 'none']])
    await child.ask(['incr', 'counter'])
    await child.ask(['add', 'k0', 1])
  }
  cache.get('k0')
  cache.delete('k1')
  const sums = { hits: 7, misses: 6, sets: 6, deletes: 1, evictions: 0, expirations: 0, entries: 3 }
  t.deepEqual(counted(cache.stats()), sums)
  const { value } = (await children[0]?.ask<{ value: Stats }>(['stats'])) ?? {}
  t.deepEqual(counted(value as Stats), sums, 'another process reports the same')
  for (const child of children) {
    child.kill()
    await child.exit
  }
  await eventually('they do not count as attached', () => cache.stats().processes === 1)
  t.deepEqual(counted(cache.stats()), sums)
})

test('stats of a namespace are summed over processes, and stay when it is closed', async (t) => {
  const name = segmentName(t)
  const one = openCache(t, { name }).namespace('one')
  const children = [0, 1].map(() => fork(t, 'operations', { name, size: SMALL, namespace: 'one' }))
  await Promise.all(children.map((child) => child.next()))
  for (const [i, child] of children.entries()) {
    await child.ask(['set', `k${i}`, 1])
    await child.ask(['get', `k${i}`])
    await child.ask(['get', 'none'])
  }
  for (const child of children) {
    child.kill()
    await child.exit
  }
  t.like(one.stats(), { sets: 2, hits: 2, misses: 2, entries: 2 })
  one.close()
  t.like(openCache(t, { name }).namespace('one').stats(), { sets: 2, hits: 2, misses: 2, entries: 2 })
})
