/**
 * Containers: processes in different PID namespaces share a segment, and may all have the same process number.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { eventually, within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { testIf, works } from '../helpers/system.ts'

const wrapper = ['unshare', '-pf', '--kill-child']

const possible = testIf(works('unshare', '-pf', '--kill-child', 'true'))

possible.serial('two processes share one segment although both are number 1 in their namespaces', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const first = fork(t, 'operations', { name, size: SMALL }, { wrapper })
  const second = fork(t, 'operations', { name, size: SMALL }, { wrapper })
  await first.next()
  await second.next()
  t.is(cache.stats().processes, 3)
  for (let i = 0; i < 50; i++) {
    await first.ask(['set', 'a', i])
    t.deepEqual(await second.ask(['get', 'a']), { value: i })
    t.is(cache.get('a'), i)
    await second.ask(['incr', 'counter'])
    await first.ask(['incr', 'counter'])
    cache.incr('counter')
  }
  t.is(cache.get('counter'), 150)

  second.send(['waitFor', 'woken'])
  await first.ask(['set', 'woken', 1])
  t.like(await second.next(), { value: { value: 1 } })
})

possible.serial('this process repairs what a process killed in another namespace left', async (t) => {
  t.timeout(60_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, options)
  const living = fork(t, 'operations', options, { wrapper })
  await living.next()
  for (let i = 0; i < 100; i++) cache.set(`kept${i}`, `value ${i}`)
  let repaired = 0
  cache.on('repaired', () => repaired++)

  for (let round = 0; round < 40 && cache.stats().repairs < 3; round++) {
    const writer = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] }, { wrapper })
    await writer.next()
    await delay(Math.random() * 20) // into the middle of a write
    writer.kill()
    await within('the end of the namespace', writer.exit)
    t.true(cache.set('after', round))
    for (const key of ['large1', 'large2']) {
      const value = cache.get(key) as Buffer | undefined
      t.true(value === undefined || value.every((byte) => byte === value[0]), 'the old or the new value, never a mix')
    }
    for (let i = 0; i < 100; i++) t.true(cache.get(`kept${i}`) === `value ${i}`)
    t.deepEqual(await living.ask(['get', 'after']), { value: round })
  }
  t.true(cache.stats().repairs >= 1, 'no kill hit a holder')
  t.deepEqual(problems(cache), [])
  if (cache.stats().repairs > 0) await eventually('the event', () => repaired > 0)
})
