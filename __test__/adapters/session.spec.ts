/**
 * cache-machine/session with express-session, in Express.
 */
import test from 'ava'
import session from 'express-session'
import { createTestCache, createTestClock } from '../../testing.ts'
import type { TestCache } from '../../testing.ts'
import { sessionStore } from '../../lib/adapters/session.ts'
import type { SessionStoreOptions } from '../../lib/adapters/session.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/session.ts'
import { sessionSuite } from './sessions.suite.ts'

adapterSuite('session', driver)
sessionSuite('express-session')

const DAY = 86_400_000

/** A store on a new cache with a clock that the test moves. */
function scene(options: Omit<SessionStoreOptions, 'Store'> = {}) {
  const clock = createTestClock()
  const cache: TestCache = createTestCache({ clock })
  const store = sessionStore(cache, { Store: session.Store, ...options })
  return { cache, clock, store, space: cache.namespace('session') }
}

/** What a request works with: the session as the host makes it from the store. */
async function loaded(store: ReturnType<typeof scene>['store'], sid: string): Promise<object> {
  return store.createSession({ sessionID: sid, sessionStore: store } as never, await store.get(sid))
}

test('a session without an expiry of its cookie lives for a day, or for the option ttl', async (t) => {
  const { store, space } = scene()
  await store.set('a', { cookie: { expires: null } })
  t.is(space.ttl('a'), DAY)
  const short = scene({ ttl: '1h' })
  await short.store.set('a', { cookie: {} })
  t.is(short.space.ttl('a'), 3_600_000)
  await short.store.touch('a', {})
  t.is(short.space.ttl('a'), 3_600_000)
})

test('a function as ttl decides for every session, and 0 ends it', async (t) => {
  const { store, space } = scene({ ttl: (one) => (one as { lives: number }).lives })
  await store.set('a', { lives: 1234, cookie: { expires: new Date(Date.now() + DAY) } })
  t.is(space.ttl('a'), 1234)
  await store.touch('a', { lives: 0 })
  t.is(await store.get('a'), undefined)
})

test('touch moves the expiry of the cookie as well, and leaves the text', async (t) => {
  const { store, space } = scene()
  await store.set('a', { user: 1, cookie: { originalMaxAge: 1000, expires: new Date(Date.now() + 1000) } })
  const text = space.get('a')
  const expires = new Date(Date.now() + 60_000)
  await store.touch('a', { user: 2, cookie: { expires } })
  const { user, cookie } = (await store.get('a')) as { user: number; cookie: { expires: string } }
  t.is(user, 1)
  // The clock of the cache stands still, and that of `Date` has gone on.
  t.true(Math.abs(Date.parse(cookie.expires) - expires.getTime()) < 30_000, cookie.expires)
  t.is(space.get('a'), text)
})

test('touch makes no session', async (t) => {
  const { store } = scene()
  await store.touch('a', { cookie: {} })
  t.is(await store.length(), 0)
})

test('all, ids and length leave out ended sessions', async (t) => {
  const { store } = scene()
  for (const sid of ['a', 'b', 'c']) await store.set(sid, { of: sid, cookie: {} })
  await store.destroy('b')
  t.deepEqual((await store.ids()).toSorted(), ['a', 'c'])
  t.is(await store.length(), 2)
  const all = (await store.all()) as { id: string; of: string }[]
  t.deepEqual(all.map(({ id, of }) => [id, of]).toSorted(), [['a', 'a'], ['c', 'c']]) // prettier-ignore
  await store.clear()
  t.deepEqual(await store.all(), [])
})

test('a save after destroy writes nothing, whether the store knows the object or not', async (t) => {
  const { store } = scene()
  await store.set('a', { cookie: {} })
  const known = await loaded(store, 'a')
  await store.destroy('a')
  await store.set('a', known)
  await store.set('a', { cookie: {} })
  t.is(await store.get('a'), undefined)
})

test('the end of a session is remembered for endedFor; a session that was loaded stays ended', async (t) => {
  const { store, clock, space } = scene({ endedFor: '1m' })
  await store.set('a', { cookie: {} })
  const known = await loaded(store, 'a')
  await store.destroy('a')
  clock.advance('61s')
  t.is(space.size, 0)
  await store.set('a', known)
  t.is(await store.get('a'), undefined)
  await store.set('a', { cookie: {} })
  t.truthy(await store.get('a'))
})

test('a loaded session that expired or was cleared is not saved again', async (t) => {
  const { store, clock } = scene()
  await store.set('a', { cookie: { expires: new Date(Date.now() + 1000) } })
  const expired = (await loaded(store, 'a')) as { cookie: session.Cookie }
  clock.advance('2s')
  expired.cookie.maxAge = DAY
  await store.set('a', expired)
  t.is(await store.get('a'), undefined)
  await store.set('b', { cookie: {} })
  const cleared = await loaded(store, 'b')
  await store.clear()
  await store.set('b', cleared)
  t.is(await store.get('b'), undefined)
})

test('a new session may be saved several times', async (t) => {
  const { store } = scene()
  const made = { count: 1, cookie: {} }
  await store.set('a', made)
  made.count = 2
  await store.set('a', made)
  t.like(await store.get('a'), { count: 2 })
  await store.destroy('a')
  await store.set('a', made)
  t.is(await store.get('a'), undefined)
})

test('callbacks come after the call has returned, also those of errors', async (t) => {
  const { store, cache } = scene()
  const circular: { cookie: object; self?: unknown } = { cookie: {} }
  circular.self = circular
  const order: unknown[] = []
  const done = (name: string) => (error: unknown) => order.push(name, error === null ? null : (error as Error).name)
  await new Promise<void>((resolve) => {
    store.set('a', { cookie: {} }, done('set'))
    store.touch('a', { cookie: {} }, done('touch'))
    store.get('a', done('get'))
    store.set('b', circular, done('circular'))
    store.destroy('a', (error: unknown) => resolve(void done('destroy')(error)))
    order.push('returned')
  })
  t.deepEqual(order, ['returned', 'set', null, 'touch', null, 'get', null, 'circular', 'TypeError', 'destroy', null])
  cache.close()
  const error = await new Promise((resolve) => store.get('a', resolve))
  t.like(error, { code: 'ERR_CLOSED' })
})

test('a promise that nothing awaits does not end the process when it rejects', async (t) => {
  const { store, cache } = scene()
  let unhandled = 0
  const listener = () => unhandled++
  process.on('unhandledRejection', listener)
  cache.failNext('ERR_BUSY', { on: 'write' })
  store.destroy('a')
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', listener)
  t.is(unhandled, 0)
  t.is(cache.pendingFailures, 0)
})

test('sessions have a quota, and eviction none refuses what is too much', async (t) => {
  const { store, cache, space } = scene({ size: '64kb', eviction: 'none' })
  cache.set('of the application', 1)
  const text = 'x'.repeat(4000)
  const refused = async () => {
    for (let i = 0; i < 100; i++) await store.set(`s${i}`, { text, cookie: {} })
  }
  const error = await t.throwsAsync(refused, { code: 'ERR_NO_SPACE' })
  t.regex((error as { hint?: string }).hint ?? '', /size of the sessions/)
  t.true((await store.length()) > 5)
  t.is(space.stats().maximumBytes, 65_536)
  t.is(cache.get('of the application'), 1)
})

test('bad input gets an error that names the fix', (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  t.throws(() => sessionStore({} as never), { code: 'ERR_INVALID_ARGUMENT', message: /sessionStore takes a cache/ })
  t.throws(() => sessionStore(cache, { Store: 1 as never }), { message: /Store must be the class session\.Store/ })
  t.throws(() => sessionStore(cache, { ttl: '1 day' as never }), { code: 'ERR_INVALID_TTL' })
  const store = sessionStore(cache) as unknown as { createSession(): void }
  t.throws(() => store.createSession(), { message: /Store: session\.Store/ })
})
