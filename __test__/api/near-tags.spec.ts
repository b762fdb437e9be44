/**
 * The near cache and tags: a near copy ends with its own tags, outlives the invalidation of other tags, and is not
 * decoded again for it.
 */
import { closeSync, openSync, readSync, writeSync } from 'node:fs'
import test from 'ava'
import type { SharedCache } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { nativeHandles } from '../helpers/internals.ts'
import { near, openCounted } from '../helpers/near-cache.ts'
import { countRawCalls } from '../helpers/raw-calls.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

test('a near copy outlives any number of invalidations of other tags, and is checked once for each read', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name, near: { objects: 'frozen' } })
  const writer = openCache(t, { name, near: false })
  writer.set('k', { a: { b: 1 } }, { tags: ['mine', 'ours'] })
  writer.set('for a while', { a: 1 }, { tags: ['mine'], ttl: '1h', stale: '1h' })
  const kept = near(t, cache, counts, 'k')
  const other = near(t, cache, counts, 'for a while')
  const hits = cache.stats().hits
  const [reads, checks] = [counts['getNear'], counts['tagClock'] ?? 0]
  for (let i = 0; i < 100; i++) {
    writer.invalidateTags(`other ${i % 10}`, { mode: i % 2 === 0 ? 'remove' : 'stale' })
    for (let read = 0; read < 3; read++) t.is(cache.get('k'), kept)
    t.is(cache.get('for a while'), other)
  }
  t.is(counts['getNear'], reads, 'an entry was decoded again')
  t.is((counts['tagClock'] ?? 0) - checks, 200, 'one check of each copy after each invalidation')
  t.is(cache.stats().hits - hits, 400)
  writer.invalidateTags('ours')
  t.is(cache.get('k'), undefined)
  t.is(cache.get('for a while'), other)
  writer.invalidateTags('mine', { mode: 'stale' })
  t.is(cache.get('for a while'), undefined)
})

test('an outdated near copy does not come back with a later clock', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  const writer = openCache(t, { name, near: false })
  for (const end of ['mine', 'other']) {
    writer.set('k', { end }, { tags: ['mine'] })
    t.deepEqual(near(t, cache, counts, 'k'), { end })
    writer.invalidateTags(end)
    for (let i = 0; i < 3; i++) {
      t.deepEqual(cache.get('k'), end === 'mine' ? undefined : { end })
      writer.invalidateTags(`other ${i}`)
    }
  }
})

test('reads of copies that were checked count as hits, so the near cache does not rest', (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  const writer = openCache(t, { name, near: false })
  for (let i = 0; i < 100; i++) writer.set(`k${i}`, { i }, { tags: [`tag ${i}`] })
  for (let i = 0; i < 100; i++) near(t, cache, counts, `k${i}`)
  const before = { ...counts }
  for (let round = 0; round < 100; round++) {
    writer.invalidateTags('other')
    for (let i = 0; i < 100; i++) t.deepEqual(cache.get(`k${i}`), { i })
  }
  t.deepEqual([counts['getNear'], counts['get']], [before['getNear'], before['get']])
  t.is((counts['tagClock'] ?? 0) - (before['tagClock'] ?? 0), 10_000)
})

/** The lower half of the tag clock in the segment. */
function clockOf(cache: SharedCache, { store }: { store?: number } = {}): number {
  const { path, tagClockOffset } = nativeHandles.get(cache) as { path: string; tagClockOffset: number }
  const file = openSync(path, 'r+')
  try {
    const word = Buffer.alloc(8)
    if (store === undefined) readSync(file, word, 0, 8, tagClockOffset)
    else {
      word.writeUInt32LE(store)
      writeSync(file, word, 0, 8, tagClockOffset)
    }
    return word.readUInt32LE()
  } finally {
    closeSync(file)
  }
}

onNative('an invalidation that takes two steps')(
  'at an odd clock tagged entries are read from the segment; their copies are used again afterwards',
  async (t) => {
    const [cache, counts] = openCounted(t, { near: { objects: 'frozen' } })
    cache.set('k', { a: 1 }, { tags: ['mine'] })
    cache.set('untagged', { a: 1 })
    const [kept, untagged] = [near(t, cache, counts, 'k'), near(t, cache, counts, 'untagged')]
    // The background thread ends an invalidation in which a process died. So the clock may become even at any moment.
    await eventually('the clock was odd all the time', () => {
      const odd = clockOf(cache) + 1
      clockOf(cache, { store: odd })
      const before = { ...counts }
      const found = cache.get('k')
      const was = counts['getNear']
      const same = cache.get('untagged')
      if (clockOf(cache) !== odd) return false
      t.deepEqual(found, kept)
      t.not(found, kept)
      t.is(same, untagged)
      t.is(was, (before['getNear'] ?? 0) + 1)
      t.is(counts['tagClock'], before['tagClock'], 'no check is possible')
      return true
    })
    cache.invalidateTags('other')
    t.is(clockOf(cache) % 2, 0)
    t.is(cache.get('k'), kept)
    cache.invalidateTags('mine')
    t.is(cache.get('k'), undefined)
  },
)

onNative('an index in shared memory')(
  'the native check refuses every position that is no index word of that entry',
  (t) => {
    const cache = openCache(t, { near: false })
    cache.set('k', 1, { tags: ['mine'] })
    cache.set('untagged', 1)
    const handle = nativeHandles.get(cache) as NonNullable<ReturnType<typeof nativeHandles.get>>
    const words = new Int32Array(handle.view() as ArrayBuffer)
    const passed: number[] = []
    for (let at = 0; at < words.length / 2; at++) {
      if (handle.tagClock(at, words[at * 2 + 1] as number) !== undefined) passed.push(at)
    }
    const [word = 0, ...more] = passed
    t.true(word > 0)
    t.deepEqual(more, [], 'only one tagged entry is there')
    const generation = words[word * 2 + 1] as number
    t.is(handle.tagClock(word, generation), clockOf(cache))
    t.is(handle.tagClock(word, generation + 1), undefined)
    const wild = [-1, -0.5, Number.NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53, 1e300, words.length, words.length / 2]
    for (const at of wild) t.is(handle.tagClock(at, generation), undefined, `${at}`)
    const calls = handle as unknown as { tagClock: (...args: unknown[]) => unknown }
    for (const args of [[], [word], ['x', generation], [word, 'x'], [{}, null], [1n, 2n]]) {
      t.is(calls.tagClock(...args), undefined)
    }
    const counts = countRawCalls(cache)
    t.is(cache.get('k'), 1)
    t.is(counts.get('tagClock'), undefined, 'without a near cache nothing is checked')
    cache.invalidateTags('mine')
    t.is(handle.tagClock(word, generation), undefined)
  },
)
