/**
 * Tags: an invalidation ends all entries that carry the tag at once; entries that are set afterwards live.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { SetOptions } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { problems } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

test('invalidateTags removes the entries that carry the tag, and no others', (t) => {
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
  t.is(cache.get('red'), 2, 'entries that are set afterwards live')
})

test('invalidateTags takes several tags at once, also a tag of no entry', (t) => {
  const cache = openCache(t)
  for (const tag of ['a', 'b', 'c']) cache.set(tag, 1, { tags: [tag] })
  cache.invalidateTags(['a', 'b', 'of no entry'])
  t.deepEqual(cache.hasMany(['a', 'b', 'c']), [false, false, true])
  cache.invalidateTags([])
  t.true(cache.has('c'))
})

test("mode 'stale' leaves entries to callers that take stale values, and 'remove' afterwards removes them as well", (t) => {
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

test('every set replaces the tags of an entry, while update, append, incr, incrBigInt, touch and persist keep them', (t) => {
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

test('an entry has up to 128 tags, and each of them can be invalidated', (t) => {
  const cache = openCache(t)
  const tags = Array.from({ length: 128 }, (_, i) => `tag ${i} 😀`)
  for (const i of [0, 64, 127]) {
    cache.set('a', i, { tags })
    cache.invalidateTags(tags[i] ?? '')
    t.false(cache.has('a'), `${i}`)
  }
})

test('an invalidation takes any number of tags, and an entry 128', (t) => {
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

test('any number of invalidated tags ends their entries and no others', (t) => {
  const cache = openCache<number>(t)
  const tags = Array.from({ length: 6000 }, (_, i) => `t${i}`)
  for (const tag of tags) cache.set(tag, 1, { tags: [tag] })
  cache.set('bystander', 1, { tags: ['never invalidated'] })
  cache.set('untagged', 1)
  for (const tag of tags) cache.invalidateTags(tag)
  t.is(tags.filter((tag) => cache.has(tag)).length, 0)
  t.true(cache.has('untagged'))
  t.true(cache.has('bystander'), 'its tag was never invalidated')
  t.is(cache.stats().tagsUnjudged, 0)
  for (const tag of tags) cache.set(tag, 2, { tags: [tag] })
  t.true(
    tags.every((tag) => cache.get(tag) === 2),
    'entries that are set afterwards live',
  )
  t.deepEqual(problems(cache), [])
})

test('invalidated entries give back their room', async (t) => {
  const cache = openCache(t)
  const empty = cache.stats().usedBytes
  for (let i = 0; i < 100; i++) cache.set(`k${i}`, 'x'.repeat(1000), { tags: ['t'] })
  cache.invalidateTags('t')
  await eventually('the sweep', () => cache.stats().usedBytes === empty)
  t.like(cache.stats(), { entries: 0, expirations: 0, evictions: 0, deletes: 0 })
})

test('a wrong tag throws, stores nothing and invalidates nothing', (t) => {
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
