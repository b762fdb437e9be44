/**
 * `getOrSet`: what happens to the key during its load.
 */
import ava from 'ava'
import { gate } from '../helpers/gate.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

const test = ava.serial

test('a loaded value is returned and not stored when its key is cleared, deleted or set during the load', async (t) => {
  const cache = openCache(t)
  const events: [string, () => unknown, string | undefined][] = [
    ['clear', () => cache.clear(), undefined],
    ['delete', () => cache.delete('a'), undefined],
    ['deletePrefix', () => cache.deletePrefix('a'), undefined],
    ['deletePrefixAsync', () => cache.deletePrefixAsync('a'), undefined],
    ['take', () => cache.take('a'), undefined],
    ['swap for a value that is over', () => cache.swap('a', 'over', { expiresAt: 1 }), undefined],
    ['set of a value that is over', () => cache.set('a', 'over', { expiresAt: 1 }), undefined],
    ['add of a value that is over', () => cache.add('a', 'over', { expiresAt: 1 }), undefined],
    ['deleteMany', () => cache.deleteMany(['a']), undefined],
    ['incr', () => cache.incr('a'), '1'],
    ['update', () => cache.update('a', () => 'new'), 'new'],
    ['append', () => cache.append('a', 'text'), 'text'],
    ['setMany', () => cache.setMany([['a', 'set']]), 'set'],
    ['set', () => cache.set('a', 'set'), 'set'],
  ]
  for (const [what, event, left] of events) {
    const loaded = gate<string>()
    const call = cache.getOrSet('a', () => loaded.promise)
    const change = event()
    loaded.open('loaded')
    t.is(await call, 'loaded', what)
    await change
    t.is(cache.get('a')?.toString(), left, what)
    cache.delete('a')
  }
})

test('a call after a delete or a clear gets the result of a load that began after it', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  for (const event of [() => other.delete('a'), () => other.clear(), () => cache.delete('a')]) {
    cache.set('a', 'old')
    const before = gate<string>()
    const first = cache.getOrSet('a', () => before.promise, { force: true })
    event()
    const second = cache.getOrSet('a', () => 'after')
    t.is(await second, 'after')
    before.open('before')
    t.is(await first, 'before')
    t.is(other.get('a'), 'after')
  }
})

test('a tag that is invalidated during a load ends the value that the load brings', async (t) => {
  const cache = openCache(t)
  const loaded = gate<string>()
  const call = cache.getOrSet('a', () => loaded.promise, { tags: ['x'] })
  cache.invalidateTags('x')
  loaded.open('loaded')
  t.is(await call, 'loaded')
  t.is(cache.get('a'), undefined)
})

test('a value without room is returned and not stored', async (t) => {
  const cache = openCache(t, { eviction: 'none', size: '2mb', maxEntrySize: '100kb' })
  for (let i = 0; cache.set(`filler${i}`, Buffer.alloc(50_000)); i++);
  for (let i = 0; cache.set(`small${i}`, i); i++);
  t.is((await cache.getOrSet('a', () => Buffer.alloc(50_000))).length, 50_000)
  t.false(cache.has('a'))
})
