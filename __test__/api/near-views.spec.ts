/**
 * The near cache: the view of the segment that handles of one thread share, and the count of near hits.
 */
import test from 'ava'
import type { SharedCache } from '../../index.ts'
import { KEPT, NOT_KEPT, near, openCounted } from '../helpers/near-cache.ts'
import { withRawCalls } from '../helpers/raw-calls.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

test('stats count every near hit of this thread at once', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  const space = cache.namespace('space')
  cache.set('a', 1)
  space.set('a', 1)
  for (let i = 0; i < 5000; i++) cache.get('a')
  for (let i = 0; i < 300; i++) space.get('a')
  cache.get('b')
  t.true((counts['getNear'] ?? 0) < 10)
  const { hits, misses } = cache.stats()
  t.deepEqual({ hits, misses }, { hits: 5300, misses: 1 })
  t.is(space.stats().hits, 300)

  for (let i = 0; i < 77; i++) space.get('a')
  space.close()
  t.is(openCache(t, { name, near: false }).stats().hits, 5377)
})

test('handles of one thread share a view, and closing one handle leaves the others working', (t) => {
  const name = segmentName(t)
  const [first] = openCounted(t, { name })
  const [second, counts] = openCounted(t, { name })
  second.set('a', 1)
  t.is(near(t, second, counts, 'a'), 1)
  t.is(first.get('a'), 1)
  first.close()
  t.throws(() => first.get('a'), { code: 'ERR_CLOSED' })
  t.is(near(t, second, counts, 'a'), 1)
  second.close()
  t.throws(() => second.get('a'), { code: 'ERR_CLOSED' })
  const [third, thirdCounts] = openCounted(t, { name })
  t.is(near(t, third, thirdCounts, 'a'), 1)
})

test('close detaches the view, and its buffer has no elements afterwards', (t) => {
  const views: ArrayBuffer[] = []
  const open = (): SharedCache =>
    withRawCalls(
      (calls) => ({
        ...calls,
        view: () => {
          const view = calls.view()
          if (view !== undefined) views.push(view)
          return view
        },
      }),
      () => openCache(t),
    )
  const cache = open()
  const [view] = views
  t.true((view?.byteLength ?? 0) > 100_000)
  const words = new Int32Array(view as ArrayBuffer)
  cache.close()
  t.is(view?.byteLength, 0)
  t.is(words[0], undefined)
})

test('a host that forbids such buffers has no near copies, and everything else is the same', (t) => {
  const cache = withRawCalls(
    (calls) => ({ ...calls, view: () => undefined }),
    () => openCache(t, { near: { objects: 'frozen' } }),
  )
  for (const [what, value] of Object.entries({ ...KEPT, ...NOT_KEPT })) {
    cache.set(what, value)
    for (let i = 0; i < 3; i++) t.deepEqual(cache.get(what), value, what)
  }
  t.deepEqual(cache.getMany(Object.keys(KEPT)), Object.values(KEPT))
  t.is(cache.stats().hits, Object.keys({ ...KEPT, ...NOT_KEPT }).length * 3 + Object.keys(KEPT).length)
})
