/**
 * The objects that `namespace` returns: one for each name and set of options.
 */
import test from 'ava'
import type { Codec, NamespaceOptions } from '../../index.ts'
import { rawCalls } from '../helpers/internals.ts'
import { openCache } from '../helpers/segment.ts'

test.serial('a namespace that is asked for in each request opens one handle', (t) => {
  const { change } = rawCalls
  t.teardown(() => (rawCalls.change = change))
  let handles = 0
  rawCalls.change = (calls) => {
    handles++
    return change(calls)
  }
  const cache = openCache(t, { ttl: '1h' })
  t.is(handles, 1)
  const first = cache.namespace('sessions', { ttl: '20m' })
  for (let i = 0; i < 1000; i++) t.is(cache.namespace('sessions', { ttl: '20m' }), first)
  t.is(handles, 2)
  for (let i = 0; i < 1000; i++) first.namespace('eu').set('a', i)
  t.is(handles, 3)
})

test('equal options mean the same object, however they are written', (t) => {
  const cache = openCache(t, { ttl: '1h' })
  const plain = cache.namespace('n')
  for (const options of [{}, { ttl: '1h' }, { ttl: 3_600_000, strict: false, codec: 'auto', near: {} }] as const) {
    t.is(cache.namespace('n', options), plain)
  }
  const near: NamespaceOptions = { near: { maxEntries: 5, maxSize: '1mb', objects: 'frozen' } }
  t.is(cache.namespace('n', near), cache.namespace('n', { near: { ...near.near } } as NamespaceOptions))
})

test('other options make another object of the same namespace, with its own defaults', (t) => {
  const cache = openCache(t)
  const codec: Codec = { id: 1, encode: (value) => Buffer.from(JSON.stringify(value)), decode: () => 'decoded' }
  const options: NamespaceOptions[] = [
    {},
    { ttl: 1000 },
    { strict: true },
    { codec: 'json' },
    { codec },
    { near: false },
    { near: { objects: 'frozen' } },
    { near: { maxEntries: 5 } },
    { near: { maxSize: '1mb' } },
  ]
  const all = options.map((own) => cache.namespace<string>('n', own))
  t.is(new Set(all).size, options.length)
  t.deepEqual(
    options.map((own) => cache.namespace<string>('n', own)),
    all,
  )
  all[1]?.set('a', 'from the second')
  for (const [i, own] of all.entries()) t.is(own.get('a'), 'from the second', `${i}`)
  t.true((all[0]?.ttl('a') ?? 0) <= 1000)
  all[0]?.set('b', 'text')
  t.is(all[0]?.ttl('b'), Infinity)
})

test('another name, another parent and another cache have objects of their own', (t) => {
  const cache = openCache(t)
  const a = cache.namespace('a')
  t.not(a, cache.namespace('b'))
  t.not(a.namespace('x'), cache.namespace('a:x'))
  t.not(a, openCache(t, { name: cache.name }).namespace('a'))
})

test('after close the next call returns an open object, and the other namespaces go on', (t) => {
  const cache = openCache(t)
  const [closed, other] = [cache.namespace('n'), cache.namespace('other')]
  closed.set('a', 1)
  closed.close()
  const again = cache.namespace('n')
  t.not(again, closed)
  t.is(again.get('a'), 1)
  t.throws(() => closed.get('a'), { code: 'ERR_CLOSED' })
  t.is(other.set('a', 1), true)
  cache.close()
  t.true(again.closed && other.closed)
})
