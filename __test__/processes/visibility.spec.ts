/**
 * Visibility: when a call has returned, the next read of every other process sees its effect.
 */
import test from 'ava'
import { fork } from '../helpers/fork.ts'
import { Kind, MetaInt, advance, nativeHandles, problems } from '../helpers/internals.ts'
import { SMALL, openCache, openStopped, segmentName } from '../helpers/segment.ts'
import type { Answer } from '../children/operations.ts'
import type { Tagger } from '../children/tagger.ts'

test.serial('another process sees each acknowledged write at once, 300 of 300', async (t) => {
  const name = segmentName(t)
  const writer = fork(t, 'operations', { name, size: SMALL })
  const reader = fork(t, 'operations', { name, size: SMALL })
  t.is(await writer.next(), 'ready')
  t.is(await reader.next(), 'ready')
  let seen = 0
  for (let i = 1; i <= 300; i++) {
    const key = `k${i % 7}`
    t.deepEqual(await writer.ask(['set', key, i]), { value: true })
    const { value } = await reader.ask<{ value: unknown }>(['get', key])
    if (value === i) seen++
  }
  t.is(seen, 300)
})

test('other processes see clear as soon as it has returned', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  cache.set('a', 1)
  t.deepEqual(await child.ask(['get', 'a']), { value: 1 })
  cache.clear()
  t.deepEqual(await child.ask(['get', 'a']), { value: undefined })
  t.deepEqual(await child.ask(['size']), { value: 0 })
  await child.ask(['set', 'a', 2])
  t.is(cache.get('a'), 2)
})

test('another process serves the stale value as well', async (t) => {
  const name = segmentName(t)
  const cache = openStopped(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  cache.set('a', 'value', { ttl: 1000, stale: 1000 })
  advance(cache, 1000)
  t.deepEqual(await child.ask(['get', 'a']), { value: undefined })
  const { value } = await child.ask<{ value: object }>(['getEntry', 'a', { allowStale: true }])
  t.like(value, { value: 'value', stale: true })
})

test('another process sees all items as soon as the call has returned', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  const items = Array.from({ length: 300 }, (_, i) => [`k${i}`, { i }] as const)
  const keys = items.map(([key]) => key)
  cache.setMany(items)
  t.deepEqual(await child.ask(['getMany', keys]), { value: items.map(([, value]) => value) })
  cache.deleteMany(keys.slice(0, 299))
  t.deepEqual(await child.ask(['hasMany', keys]), { value: keys.map((_, i) => i === 299) })
})

test('another process sees deletePrefix as soon as the call has returned', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  await child.ask(['setMany', Array.from({ length: 500 }, (_, i) => [`k${i}`, i])])
  t.is(cache.deletePrefix('k'), 500)
  t.deepEqual(await child.ask(['size']), { value: 0 })
  t.deepEqual(await child.ask(['get', 'k1']), { value: undefined })
})

test('clear of a namespace clears that namespace, and clear of the root clears all, in every process', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'operations', { name, size: SMALL, namespace: 'one' })
  await child.next()
  const one = cache.namespace('one')
  const inner = one.namespace('inner')
  const fill = (): void => [cache, one, inner].forEach((where) => where.set('key', where.namespaceName))
  fill()
  t.deepEqual(await child.ask(['get', 'key']), { value: 'one' })
  one.clear()
  t.deepEqual(await child.ask(['get', 'key']), { value: undefined })
  t.deepEqual([cache.get('key'), inner.get('key')], ['', 'one:inner'])
  t.deepEqual([cache.size, one.size, inner.size], [1, 0, 1])
  fill()
  await child.ask(['clear'])
  t.deepEqual([cache.get('key'), one.get('key'), inner.get('key')], ['', undefined, 'one:inner'])
  fill()
  cache.clear()
  t.deepEqual(await child.ask(['get', 'key']), { value: undefined })
  t.deepEqual([cache.get('key'), one.get('key'), inner.get('key')], [undefined, undefined, undefined])
})

test('the next read in another process sees an invalidation, and both processes can set the entry again', async (t) => {
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

test.serial('an invalidation has taken effect when its call returns, also in four processes at once', async (t) => {
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

test('a cache stores flat objects in the flat form, and every process and way of reading returns them', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name, near: false })
  const near = openCache(t, { name, near: { objects: 'frozen' } })
  const made = (id: number): object => ({
    id,
    name: `user ${id}`,
    mail: 'zażółć@example.org',
    score: id / 3,
    active: true,
    boss: null,
  })
  for (let id = 0; id < 40; id++) cache.set(`u${id}`, made(id))

  const handle = nativeHandles.get(cache)
  t.deepEqual(cache.get('u39'), made(39))
  t.is(handle?.ints[MetaInt.Kind], Kind.Flat)
  const keys = Array.from({ length: 40 }, (_, id) => `u${id}`)
  t.deepEqual(
    cache.getMany(keys),
    keys.map((_, id) => made(id)),
  )
  t.deepEqual(cache.getEntry('u7')?.value, made(7))
  t.deepEqual(cache.peek('u7'), made(7))
  const first = near.get('u7')
  t.deepEqual(first, made(7))
  t.true(Object.isFrozen(first))
  t.is(near.get('u7'), first)
  t.deepEqual(near.getMany(['u7', 'u8']), [made(7), made(8)])

  const child = fork(t, 'operations', { name, size: SMALL })
  await child.next()
  t.deepEqual((await child.ask<Answer>(['get', 'u7'])).value, made(7))
  for (let id = 100; id < 140; id++) await child.ask(['set', `u${id}`, made(id)])
  t.deepEqual(near.get('u139'), made(139))
  t.deepEqual(cache.take('u139'), made(139))
  t.is(handle?.ints[MetaInt.Kind], Kind.Flat)
  t.deepEqual(cache.getMany(['u139']), [undefined])
})
