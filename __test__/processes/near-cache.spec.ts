/**
 * The near cache: a change by another process, thread or handle is seen by the next read.
 *
 * `counted` shows how often the segment was read, so each test knows whether it saw a near copy.
 */
import test from 'ava'
import type { SharedCache } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { near, openCounted } from '../helpers/near-cache.ts'
import { counted } from '../helpers/raw-calls.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import { startThread } from '../helpers/thread.ts'

/** Every way in which an entry can change or end, and what is read afterwards. */
const CHANGES: Record<string, [calls: [method: string, ...args: unknown[]][], after: unknown]> = {
  'a set': [[['set', 'k', 'new']], 'new'],
  'an equal set': [[['set', 'k', 'old']], 'old'],
  'a set of another kind': [[['set', 'k', { new: true }]], { new: true }],
  'a delete': [[['delete', 'k']], undefined],
  'a take': [[['take', 'k']], undefined],
  'a clear': [[['clear']], undefined],
  'an invalidated tag': [[['invalidateTags', 'tag']], undefined],
  'an outdated tag': [[['invalidateTags', 'tag', { mode: 'stale' }]], undefined],
  'a tag of another entry': [[['invalidateTags', 'other']], 'old'],
  'a delete of the prefix': [[['deletePrefix', 'k']], undefined],
  'many deletes': [[['deleteMany', ['k', 'l']]], undefined],
  'many sets': [[['setMany', [['k', 'new']]]], 'new'],
  'a delete and a set': [
    [
      ['delete', 'k'],
      ['set', 'k', 'old again'],
    ],
    'old again',
  ],
  'an append': [[['append', 'k', '!']], 'old!'],
  'a new lifetime': [[['touch', 'k', '1h']], 'old'],
  'a swap': [[['swap', 'k', 'new']], 'new'],
}

for (const where of ['', 'namespace'] as const) {
  test(`${where || 'root'}: the next read sees a change by another process`, async (t) => {
    const name = segmentName(t)
    const child = fork(t, 'operations', { name, size: SMALL, near: false, namespace: where })
    t.is(await child.next(30_000), 'ready')
    const [cache, counts] = counted(() => inner(openCache(t, { name }), where))
    for (const [what, [calls, after]] of Object.entries(CHANGES)) {
      cache.set('k', 'old', { tags: ['tag'] })
      t.is(near(t, cache, counts, 'k'), 'old', what)
      for (const call of calls) t.false('code' in (await child.ask<object>(call)), what)
      t.deepEqual(cache.get('k'), after, what)
    }
  })

  test(`${where || 'root'}: the next read sees a change by another handle of this thread, and by this handle`, (t) => {
    const name = segmentName(t)
    const other = inner(openCache(t, { name }), where)
    const [cache, counts] = counted(() => inner(openCache(t, { name }), where))
    for (const by of [other, cache]) {
      for (const [what, [calls, after]] of Object.entries(CHANGES)) {
        cache.set('k', 'old', { tags: ['tag'] })
        t.is(near(t, cache, counts, 'k'), 'old', what)
        for (const [method, ...args] of calls)
          (Reflect.get(by, method) as (...all: unknown[]) => unknown).apply(by, args)
        t.deepEqual(cache.get('k'), after, what)
      }
    }
  })
}

function inner(root: SharedCache, name: string): SharedCache {
  return name === '' ? root : root.namespace(name)
}

test('a namespace sees a clear of the root, and a clear of a namespace affects only that namespace', (t) => {
  const name = segmentName(t)
  const [root, counts] = openCounted(t, { name })
  const [space, spaceCounts] = counted(() => openCache(t, { name }).namespace('a'))
  const other = openCache(t, { name })
  root.set('k', 1)
  space.set('k', 2)
  t.is(near(t, root, counts, 'k'), 1)
  t.is(near(t, space, spaceCounts, 'k'), 2)
  other.namespace('a').clear()
  t.is(space.get('k'), undefined)
  const before = counts['getNear']
  t.is(root.get('k'), 1)
  t.is(counts['getNear'], before)
  space.set('k', 3)
  t.is(near(t, space, spaceCounts, 'k'), 3)
  other.clear()
  t.is(space.get('k'), undefined)
  t.is(root.get('k'), undefined)
})

test('the hits of a process that ends by itself are all counted', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('a', 1)
  const child = fork(t, 'operations', { name, size: SMALL })
  t.is(await child.next(30_000), 'ready')
  for (let i = 0; i < 10; i++) t.deepEqual(await child.ask(['get', 'a']), { value: 1 })
  child.send(['exit'])
  await child.exit
  t.is(cache.stats().hits, 10)
})

test('the hits of another process are counted within seconds', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  cache.set('a', 1)
  const child = fork(t, 'operations', { name, size: SMALL })
  t.is(await child.next(30_000), 'ready')
  for (let i = 0; i < 10; i++) await child.ask(['get', 'a'])
  await eventually('all are counted', () => cache.stats().hits === 10)
})

test('threads have near copies of their own, and see the changes of each other at once', async (t) => {
  const name = segmentName(t)
  const [cache, counts] = openCounted(t, { name })
  const thread = startThread(t, 'operations', { name, size: SMALL })
  t.is(await thread.next(30_000), 'ready')
  for (let i = 0; i < 50; i++) {
    cache.set('a', { i })
    t.deepEqual(near(t, cache, counts, 'a'), { i })
    for (let read = 0; read < 3; read++) t.deepEqual(await thread.ask(['get', 'a']), { value: { i } })
    await thread.ask(['set', 'b', i])
    t.is(near(t, cache, counts, 'b'), i)
  }
  await thread.worker.terminate()
  t.is(near(t, cache, counts, 'b'), 49)
})

/** Numbers from 0 up to `below`, by a seed. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Entries with their tags, as every process must find them. */
class Model {
  readonly #entries = new Map<string, { value: unknown; tags: string[] }>()

  set(key: string, value: unknown, { tags }: { tags: string[] }): void {
    this.#entries.set(key, { value, tags })
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  invalidateTags(ended: string[]): void {
    for (const [key, { tags }] of this.#entries) if (ended.some((tag) => tags.includes(tag))) this.delete(key)
  }

  get(key: string): unknown {
    return this.#entries.get(key)?.value
  }
}

test('random histories of tags, by two processes: near copies are exact, and outlive what is not theirs', async (t) => {
  const [KEYS, TAGS, CHANGES_EACH] = [12, 40, 700]
  const name = segmentName(t)
  const child = fork(t, 'operations', { name, size: SMALL, near: false })
  t.is(await child.next(30_000), 'ready')
  const [readers, counts] = counted(() => [
    openCache(t, { name, near: { objects: 'frozen' } }),
    openCache(t, { name, near: { objects: 'copy' } }),
  ])
  const own = openCache(t, { name, near: false })
  const checks: string[] = []
  for (const seed of [1, 2, 3]) {
    const random = randomFrom(seed)
    const model = new Model()
    own.clear()
    const someTags = (): string[] => Array.from({ length: 1 + random(2) }, () => `tag ${random(TAGS)}`)
    for (let i = 0; i < CHANGES_EACH; i++) {
      const key = `k${random(KEYS)}`
      const call =
        random(10) < 5
          ? (['set', key, { i, inner: [seed] }, { tags: someTags() }] as const)
          : random(10) < 9
            ? (['invalidateTags', someTags(), { mode: random(2) === 0 ? 'remove' : 'stale' }] as const)
            : (['delete', key] as const)
      const [method, ...args] = call
      ;(Reflect.get(model, method) as (...all: unknown[]) => void).apply(model, args)
      if (random(2) === 0) t.false('code' in (await child.ask<object>(call)))
      else (Reflect.get(own, method) as (...all: unknown[]) => unknown).apply(own, args)
      // Several reads of each key that is there; otherwise the near cache would rest.
      for (let read = 0; read < KEYS * 5; read++) {
        const at = read % KEYS
        for (const cache of readers) {
          const wanted = model.get(`k${at}`)
          if (wanted === undefined && read >= KEYS) continue
          const found = cache.get(`k${at}`)
          if (JSON.stringify(found) !== JSON.stringify(wanted)) {
            checks.push(`seed ${seed}, change ${i}: k${at} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`)
          }
        }
      }
    }
  }
  t.deepEqual(checks.slice(0, 5), [])
  const [asked, decoded] = [counts['tagClock'] ?? 0, counts['getNear'] ?? 0]
  t.log(`${asked} checks of copies, ${decoded} reads of the segment`)
  t.true(asked > 5000, 'too few copies were checked to prove anything')
})
