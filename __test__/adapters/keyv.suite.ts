/**
 * What both adapters of Keyv promise beside the suite of all adapters: iterator, many keys, no second encoding, and the
 * error for a cache without an adapter.
 */
import test from 'ava'
import type { CacheStore } from '../../index.ts'
import { createTestCache } from '../../testing.ts'

/** The parts of Keyv 5 and Keyv 6 that the tests use. */
interface AnyKeyv {
  namespace?: string | undefined
  on(event: string, listener: (error: unknown) => void): unknown
  get(key: string): Promise<unknown>
  get(keys: string[]): Promise<unknown>
  set(key: string, value: unknown, ttl?: number): Promise<unknown>
  setMany(items: { key: string; value: unknown; ttl?: number }[]): Promise<unknown>
  has(key: string): Promise<boolean>
  hasMany(keys: string[]): Promise<boolean[]>
  deleteMany(keys: string[]): Promise<unknown>
  clear(): Promise<void>
  disconnect(): Promise<void>
}

export interface KeyvVersion {
  /** The name of the adapter, which is its namespace as well. */
  readonly adapter: string
  /** The name of its function. */
  readonly factory: string
  make(options: { store: unknown; namespace?: string }): AnyKeyv
  storeOf(cache: CacheStore, options?: { namespace?: string }): unknown
  /** The iterator of a Keyv. */
  iterate(keyv: AnyKeyv): AsyncIterable<[string, unknown]>
  /** The key of an entry, as Keyv passes it to its store. */
  keyOf(namespace: string, key: string): string
}

export function keyvSuite({ adapter, factory, make, storeOf, iterate, keyOf }: KeyvVersion): void {
  const entriesOf = async (keyv: AnyKeyv): Promise<Record<string, unknown>> => {
    const found: Record<string, unknown> = {}
    for await (const [key, value] of iterate(keyv)) found[key] = value
    return found
  }

  test(`${adapter}: the cache has the text that Keyv has encoded, once`, async (t) => {
    const cache = createTestCache()
    const keyv = make({ store: storeOf(cache), namespace: 'users' })
    await keyv.set('1', { name: 'Ada' })
    const stored = cache.namespace(adapter).namespace('users').get(keyOf('users', '1'))
    t.is(typeof stored, 'string')
    t.like(JSON.parse(stored as string), { value: { name: 'Ada' } })
  })

  test(`${adapter}: the iterator has the entries of its namespace`, async (t) => {
    const cache = createTestCache()
    const [users, posts] = ['users', 'posts'].map((namespace) => make({ store: storeOf(cache), namespace }))
    await users?.set('a', 1)
    await users?.set('b', { n: 2 })
    await posts?.set('c', 3)
    t.deepEqual(await entriesOf(users as AnyKeyv), { a: 1, b: { n: 2 } })
    t.deepEqual(await entriesOf(posts as AnyKeyv), { c: 3 })
    await users?.clear()
    t.deepEqual(await entriesOf(users as AnyKeyv), {})
    t.deepEqual(await entriesOf(posts as AnyKeyv), { c: 3 })
  })

  test(`${adapter}: calls with many keys`, async (t) => {
    const keyv = make({ store: storeOf(createTestCache()), namespace: 'many' })
    const keys = Array.from({ length: 200 }, (_, i) => `key ${i}`)
    await keyv.setMany(keys.map((key, i) => ({ key, value: i })))
    t.deepEqual(await keyv.get([...keys, 'nothing']), [...keys.keys(), undefined])
    t.deepEqual(await keyv.hasMany(['key 0', 'nothing', 'key 199']), [true, false, true])
    await keyv.deleteMany(keys.slice(1))
    t.deepEqual(await keyv.hasMany(['key 0', 'key 1', 'key 199']), [true, false, false])
    await keyv.setMany([])
    t.deepEqual(await keyv.get([]), [])
  })

  test(`${adapter}: a namespace of the cache of the caller`, async (t) => {
    const cache = createTestCache()
    const [one, other] = ['one', 'other'].map((namespace) => make({ store: storeOf(cache, { namespace }) }))
    await one?.set('a', 1)
    t.is(await other?.get('a'), undefined)
    await other?.clear()
    t.is(await one?.get('a'), 1)
  })

  test(`${adapter}: disconnect leaves the cache open`, async (t) => {
    const cache = createTestCache()
    const keyv = make({ store: storeOf(cache) })
    await keyv.set('a', 1)
    await keyv.disconnect()
    t.false(cache.closed)
    t.is(await make({ store: storeOf(cache) }).get('a'), 1)
  })

  test(`${adapter}: a failed write is the event error and the answer false`, async (t) => {
    const cache = createTestCache()
    const keyv = make({ store: storeOf(cache) })
    const errors: unknown[] = []
    keyv.on('error', (error) => errors.push(error))
    cache.failNext('ERR_NO_SPACE', { on: 'write' })
    t.is(await keyv.set('a', 1), false)
    t.like(errors, { length: 1, 0: { code: 'ERR_NO_SPACE' } })
  })

  test(`${adapter}: a cache in the place of the store is an error that names the adapter`, (t) => {
    const error = t.throws(() => make({ store: createTestCache() }), { code: 'ERR_INVALID_ARGUMENT' })
    t.true((error as unknown as { hint: string }).hint.includes(`${factory}(cache)`))
  })

  test(`${adapter}: wrong arguments are errors`, (t) => {
    const cache = createTestCache()
    t.throws(() => storeOf(new Map() as never), {
      code: 'ERR_INVALID_ARGUMENT',
      message: new RegExp(`^${factory} takes`),
    })
    t.throws(() => storeOf(cache, { ttl: 5 } as never), { code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => storeOf(cache, 'name' as never), { code: 'ERR_INVALID_ARGUMENT' })
  })
}
