/**
 * Tags: invalidating one ends all entries that carry it, at once, in every process; what is set afterwards lives.
 */
import test from 'ava'
import { CacheError } from '../index.ts'
import type { SetOptions } from '../index.ts'
import { problems } from '../lib/testing.ts'
import type { Tagger } from './children/tagger.ts'
import { eventually } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'

test('a removed tag takes the entries that carry it, and no others', (t) => {
  const cache = openCache(t)
  cache.set('red', 1, { tags: ['red'] })
  cache.set('both', 1, { tags: ['blue', 'red'] })
  cache.set('blue', 1, { tags: ['blue'] })
  cache.set('none', 1)
  cache.invalidateTags('red')
  t.deepEqual(cache.hasMany(['red', 'both', 'blue', 'none']), [false, false, true, true])
  t.deepEqual([...cache.keys()].toSorted(), ['blue', 'none'])
  t.is(cache.getEntry('red', { allowStale: true }), undefined)
  t.false(cache.delete('red'))
  t.true(cache.add('red', 2, { tags: ['red'] }))
  t.is(cache.get('red'), 2, 'what is set afterwards lives')
})

test('several tags at once, and one that nobody has', (t) => {
  const cache = openCache(t)
  for (const tag of ['a', 'b', 'c']) cache.set(tag, 1, { tags: [tag] })
  cache.invalidateTags(['a', 'b', 'nobody has it'])
  t.deepEqual(cache.hasMany(['a', 'b', 'c']), [false, false, true])
  cache.invalidateTags([])
  t.true(cache.has('c'))
})

test("mode 'stale' leaves entries to those who take stale values; 'remove' afterwards takes these as well", (t) => {
  const cache = openCache(t)
  cache.set('a', 'value', { tags: ['t'] })
  cache.invalidateTags('t', { mode: 'stale' })
  t.is(cache.get('a'), undefined)
  t.false(cache.has('a'))
  t.deepEqual([...cache.keys()], [])
  t.like(cache.getEntry('a', { allowStale: true }), { value: 'value', stale: true, expiresAt: undefined })
  cache.invalidateTags('t', { mode: 'remove' })
  t.is(cache.getEntry('a', { allowStale: true }), undefined)
  cache.set('a', 'new', { tags: ['t'] })
  t.like(cache.getEntry('a', { allowStale: true }), { value: 'new', stale: false })
  cache.invalidateTags('t')
  cache.set('a', 'once more', { tags: ['t'] })
  cache.invalidateTags('t', { mode: 'stale' })
  t.like(cache.getEntry('a', { allowStale: true }), { value: 'once more', stale: true })
})

test('tags go with every set but update, append, incr and touch, which keep them', (t) => {
  const cache = openStopped<unknown>(t)
  const tagged = { tags: ['t'] }
  cache.set('set', 1, tagged)
  cache.set('set', 2)
  cache.set('other', 1, tagged)
  cache.set('other', 2, { tags: ['u'] })
  cache.set('swapped', 1, tagged)
  cache.swap('swapped', 2)
  const gone = ['replaced', 'updated', 'appended', 'counted', 'counted big', 'touched', 'persisted']
  cache.set('replaced', 1)
  cache.replace('replaced', 2, tagged)
  cache.update('updated', () => 1, tagged)
  cache.update('updated', () => 2)
  cache.append('appended', 'x', tagged)
  cache.append('appended', 'y')
  cache.set('counted', 1, tagged)
  cache.incr('counted')
  cache.set('counted big', 1n, tagged)
  cache.incrBigInt('counted big')
  cache.set('touched', 1, tagged)
  cache.touch('touched', '1h')
  cache.set('persisted', 1, { ...tagged, ttl: '1h' })
  cache.persist('persisted')
  t.true(cache.hasMany(gone).every(Boolean))
  cache.invalidateTags('t')
  t.deepEqual(cache.getMany(['set', 'other', 'swapped']), [2, 2, 2])
  t.deepEqual(
    cache.hasMany(gone),
    gone.map(() => false),
  )
})

test('an entry has up to 128 tags, and each of them counts', (t) => {
  const cache = openCache(t)
  const tags = Array.from({ length: 128 }, (_, i) => `tag ${i} 😀`)
  for (const i of [0, 64, 127]) {
    cache.set('a', i, { tags })
    cache.invalidateTags(tags[i] ?? '')
    t.false(cache.has('a'), `${i}`)
  }
})

test('an invalidation may name any number of tags, an entry 128', (t) => {
  const cache = openCache(t)
  const tags = Array.from({ length: 1000 }, (_, i) => `t${i}`)
  for (const tag of tags) cache.set(tag, 1, { tags: [tag] })
  cache.set('untagged', 1)
  cache.invalidateTags(tags)
  t.is(cache.getMany(tags).filter((value) => value !== undefined).length, 0)
  t.true(cache.has('untagged'))
  cache.set('other', 1, { tags: ['other'] })
  cache.invalidateTags(tags.slice(0, 50))
  t.true(cache.has('other'))
  t.throws(() => cache.set('a', 1, { tags: tags.slice(0, 129) }), { code: 'ERR_INVALID_ARGUMENT', message: /128/ })
})

test('more tags than the table holds take too much with them, never too little, and are counted', (t) => {
  const cache = openCache<number>(t)
  const tags = Array.from({ length: 6000 }, (_, i) => `t${i}`)
  for (const tag of tags) cache.set(tag, 1, { tags: [tag] })
  cache.set('bystander', 1, { tags: ['never invalidated'] })
  cache.set('untagged', 1)
  for (const tag of tags) cache.invalidateTags(tag)
  t.is(tags.filter((tag) => cache.has(tag)).length, 0)
  t.true(cache.has('untagged'))
  t.false(cache.has('bystander'), 'older than a record that was pushed out')
  t.true(cache.stats().tagsOverflowed > 10)
  for (const tag of tags) cache.set(tag, 2, { tags: [tag] })
  t.true(
    tags.every((tag) => cache.get(tag) === 2),
    'what is set afterwards lives',
  )
  t.deepEqual(problems(cache), [])
})

test('another process sees it with its next read, and so do its own writes', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  for (let i = 0; i < 50; i++) {
    const mode = i % 2 === 0 ? 'remove' : 'stale'
    cache.set('a', i, { tags: ['t'] })
    t.deepEqual(await child.ask(['get', 'a']), { value: i })
    cache.invalidateTags('t', { mode })
    t.deepEqual(await child.ask(['get', 'a']), { value: undefined })
    await child.ask(['set', 'a', -i, { tags: ['t'] }])
    t.is(cache.get('a'), -i)
    await child.ask(['invalidateTags', 't', { mode }])
    t.is(cache.get('a'), undefined)
  }
})

test.serial('of four processes that invalidate at once, each has done so when its call has returned', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const children = [0, 1, 2, 3].map((me) => fork(t, 'tagger', { name, size: SMALL, me, rounds: 2000 } satisfies Tagger))
  await Promise.all(children.map((child) => child.next()))
  const alive = await Promise.all(children.map((child) => child.ask<number>('go', 40_000)))
  t.deepEqual(alive, [0, 0, 0, 0])
  cache.invalidateTags('common')
  t.deepEqual([...cache], [])
  t.deepEqual(problems(cache), [])
})

test('what a tag has ended gives back its room', async (t) => {
  const cache = openCache(t)
  const empty = cache.stats().usedBytes
  for (let i = 0; i < 100; i++) cache.set(`k${i}`, 'x'.repeat(1000), { tags: ['t'] })
  cache.invalidateTags('t')
  await eventually('the sweep', () => cache.stats().usedBytes === empty)
  t.like(cache.stats(), { entries: 0, expirations: 0, evictions: 0, deletes: 0 })
})

test('what is no tag throws, stores nothing and ends nothing', (t) => {
  const cache = openCache(t)
  cache.set('a', 1, { tags: ['t'] })
  // oxlint-disable-next-line no-sparse-arrays
  for (const tags of ['t', 5, null, {}, [''], [5], [null], ['\uD800'], [,], new Set(['t'])]) {
    const options = { tags } as unknown as SetOptions
    t.throws(() => cache.set('b', 1, options), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' }, String(tags))
  }
  for (const tags of ['', 5, null, undefined, [''], ['t', 5], ['t', '\uDC00']]) {
    t.throws(() => cache.invalidateTags(tags as string), { code: 'ERR_INVALID_ARGUMENT' }, String(tags))
  }
  for (const options of [null, 'stale', { mode: 'gone' }]) {
    t.throws(() => cache.invalidateTags('t', options as never), { code: 'ERR_INVALID_ARGUMENT' })
  }
  t.is(cache.get('a'), 1)
  t.false(cache.has('b'))
})
