/**
 * Removal notices: only the process that removed an entry gets `evict` or `expire`.
 */
import test from 'ava'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { advance } from '../helpers/internals.ts'
import { VALUE, allTold, listen, overfill } from '../helpers/removals.ts'
import type { Told } from '../helpers/removals.ts'
import { SMALL, openCache, openStopped, segmentName } from '../helpers/segment.ts'

test('only the process that evicted an entry reports it', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const evicted = listen(cache, 'evict')
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  await child.ask(['listen', 'evict'])
  for (let i = 0; i < 8; i++) {
    await child.ask(['setMany', Array.from({ length: 500 }, (_, n) => [`${i}:${n}`, VALUE])])
  }
  const byOther = cache.stats().evictions
  t.true(byOther > 100)
  overfill(cache, 500)
  await allTold(t, evicted, () => cache.stats().evictions - byOther)
  t.true(evicted.keys.length > 100)
  const theirs = await toldBy(child, 'evict', byOther)
  t.is(theirs.keys.length + theirs.lost, byOther)
  t.deepEqual(evicted.keys.length + evicted.lost, cache.stats().evictions - byOther)
})

test('only the process that removed an expired entry reports it', async (t) => {
  const name = segmentName(t)
  const cache = openStopped(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  await child.ask(['listen', 'expire'])
  const expired = listen(cache, 'expire')
  for (let i = 0; i < 200; i++) cache.set(`k${i}`, i, 1000)
  advance(cache, 1000)
  // Each process replaces one half. A background sweep of either process may be first; then that process reports.
  for (let i = 0; i < 100; i++) cache.set(`k${i}`, 'new')
  for (let i = 100; i < 200; i++) await child.ask(['set', `k${i}`, 'new'])
  await eventually('all have expired', () => cache.stats().expirations === 200)
  const theirs = await eventually('all was told', async () => {
    const told = (await child.ask<{ value: Told }>(['removals', 'expire'])).value
    return told.keys.length + expired.keys.length >= 200 ? told : undefined
  })
  const keys = [...expired.keys, ...theirs.keys]
  t.is(new Set(keys).size, 200)
  t.is(keys.length, 200, 'no entry is reported twice')
  t.is(expired.lost + theirs.lost, 0)
})

/** What the child has told, as soon as it is this much. */
function toldBy(child: Child, event: 'evict' | 'expire', count: number): Promise<Told> {
  return eventually('the child has told all', async () => {
    const { value } = await child.ask<{ value: Told }>(['removals', event])
    return value.keys.length + value.lost >= count ? value : undefined
  })
}
