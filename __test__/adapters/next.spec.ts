/**
 * cache-machine/next: the contract of both handlers, as Next 15 and 16 call them. next-app.spec.ts has servers of Next.
 */
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { cacheHandler, cacheHandlers } from '../../lib/adapters/next.ts'
import type {
  CacheEntry,
  CacheHandler,
  CachedValue,
  HandlerContext,
  NextOptions,
  UseCacheHandler,
} from '../../lib/adapters/next.ts'
import { TagTimes } from '../../lib/adapters/shared/tag-times.ts'
import { createTestCache } from '../../testing.ts'
import type { TestCache } from '../../testing.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { temporaryDirectory } from '../helpers/segment.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/next.ts'

adapterSuite('next', driver)

const PAGE = { kind: 'APP_PAGE' }
const TAGS = 'x-next-cache-tags'

function page(html: string, tags = '_N_T_/layout,_N_T_/posts/page,_N_T_/posts,posts'): CachedValue {
  return { kind: 'APP_PAGE', html, headers: { [TAGS]: tags }, status: 200, postponed: undefined, rscData: undefined }
}

/** A cache as two processes have it: two handles of one segment, each with its handlers. */
function processes(t: ExecutionContext, options?: NextOptions): Process[] {
  const first = createTestCache({ size: '16mb' })
  const caches = [first, createTestCache({ name: first.name })]
  t.teardown(() => caches.forEach((cache) => cache.close()))
  return caches.map((cache) => {
    const Handler = cacheHandler(cache, options)
    return { cache, request: (context) => new Handler(context), functions: cacheHandlers(cache, options) }
  })
}

interface Process {
  cache: TestCache
  /** The handler of one request. */
  request(context?: HandlerContext): CacheHandler
  functions: UseCacheHandler
}

/** Two of them. */
function two(t: ExecutionContext, options?: NextOptions): [Process, Process] {
  return processes(t, options) as [Process, Process]
}

function entry(text: string, more: Partial<CacheEntry> = {}): CacheEntry {
  const value = new Blob([text]).stream() as ReadableStream<Uint8Array>
  const timestamp = performance.timeOrigin + performance.now()
  return { value, tags: [], stale: 30, timestamp, expire: 3600, revalidate: 60, ...more }
}

async function textOf(found: CacheEntry | undefined): Promise<string | undefined> {
  return found && new Response(found.value).text()
}

test('a page comes back with its bytes, its Map and the lifetime that it was stored with', async (t) => {
  const [one, two_] = two(t)
  const segmentData = new Map([['/_tree', Buffer.from([0, 255])]])
  const value = { ...page('<p>'), rscData: Buffer.from('rsc'), segmentData }
  await one.request().set('/posts', value, { cacheControl: { revalidate: 60, expire: 3600 } })
  const found = await two_.request().get('/posts', PAGE)
  t.deepEqual(found?.value, value)
  t.true(Buffer.isBuffer(found?.value.rscData))
  t.deepEqual(found?.cacheControl, { revalidate: 60, expire: 3600 })
  t.true(Math.abs((found?.lastModified ?? 0) - Date.now()) < 30_000)
})

test('null is kept for a page that was not found', async (t) => {
  const [one, other] = two(t)
  await one.request().set('/gone', null, {})
  t.like(await other.request().get('/gone', { kind: 'PAGES' }), { value: null })
})

test('a revalidated tag ends pages in all processes, also one that is written late', async (t) => {
  const [one, other] = two(t)
  const early = one.request()
  await one.request().set('/posts', page('old'))
  await other.request().revalidateTag('posts')
  t.is(await one.request().get('/posts', PAGE), null)
  // The render began before the revalidation, so its data may be older.
  await early.set('/posts', page('late'))
  t.is(await other.request().get('/posts', PAGE), null)
  await one.request().set('/posts', page('new'))
  await early.set('/posts', page('late'))
  t.is((await other.request().get('/posts', PAGE))?.value.html, 'new')
})

test('what a request stores after its own revalidation lives', async (t) => {
  const [one, other] = two(t)
  const action = one.request()
  await action.revalidateTag(['posts', 'authors'])
  await action.set('/posts', page('new'))
  t.is((await other.request().get('/posts', PAGE))?.value.html, 'new')
})

test('revalidatePath ends the page and the fetches that were made for it', async (t) => {
  const [one, other] = two(t)
  const answer: CachedValue = {
    kind: 'FETCH',
    data: { body: 'e30=', headers: {}, status: 200, url: '' },
    revalidate: 60,
  }
  await one.request().set('/posts', page('old'))
  await one.request().set('digest', answer, { fetchCache: true, tags: ['api'] })
  await other.request().revalidateTag('_N_T_/posts')
  t.is(await one.request().get('/posts', PAGE), null)
  const fetchFor = (path: string): object => ({
    kind: 'FETCH',
    tags: ['api'],
    softTags: ['_N_T_/layout', `_N_T_${path}`],
  })
  t.is(await one.request().get('digest', fetchFor('/posts')), null)
  t.deepEqual((await one.request().get('digest', fetchFor('/about')))?.value, answer)
  t.is(await one.request({ revalidatedTags: ['api'] }).get('digest', fetchFor('/about')), null)
  await one.request().revalidateTag('api')
  t.is(await other.request().get('digest', fetchFor('/about')), null)
})

test('with a profile, a page is stale until it is rendered, and dead after the time of the profile', async (t) => {
  const [one, other] = two(t)
  const store = (revalidate: number | false): Promise<void> =>
    one.request().set('/posts', page('old'), { cacheControl: { revalidate, expire: 7200 } })
  const isStale = async (): Promise<boolean> => {
    const found = await other.request().get('/posts', PAGE)
    const control = found?.cacheControl
    t.is(typeof control?.revalidate, 'number')
    return (found?.lastModified ?? 0) + Number(control?.revalidate) * 1000 < Date.now()
  }
  for (const revalidate of [3600, false] as const) {
    await store(revalidate)
    await other.request().revalidateTag('posts', { expire: 3600 })
    t.true(await isStale())
    await store(3600)
    t.false(await isStale())
  }
  await other.request().revalidateTag('posts', { expire: 1e-6 })
  await eventually('the deadline', async () => (await one.request().get('/posts', PAGE)) === null)
  await store(3600)
  await other.request().revalidateTag('posts', { expire: 0 })
  t.is(await one.request().get('/posts', PAGE), null)
})

test('a Next that does not read the lifetime makes a stale page anew at once, and keeps a fresh one', async (t) => {
  const [one, other] = two(t)
  await one.request().set('/posts', page('old'), { cacheControl: { revalidate: false, expire: undefined } })
  // 16.0 to 16.3 know nothing of pages that another process has rendered, and take one second for their lifetime.
  t.true(Date.now() - Number((await other.request().get('/posts', PAGE))?.lastModified) < 500)
  await other.request().revalidateTag('posts', {})
  t.is((await other.request().get('/posts', PAGE))?.lastModified, -1)
})

test('a stale answer to fetch is older than its lifetime', async (t) => {
  const [one, other] = two(t)
  const revalidate = 0xfffffffe
  const answer: CachedValue = { kind: 'FETCH', data: { body: '', headers: {}, status: 200, url: '' }, revalidate }
  await one.request().set('digest', answer, { fetchCache: true, tags: ['api'] })
  const age = async (): Promise<number> => {
    const found = await other.request().get('digest', { kind: 'FETCH', tags: ['api'], revalidate: false })
    return (Date.now() - Number(found?.lastModified)) / 1000
  }
  t.true((await age()) < 60)
  await one.request().revalidateTag('api', { expire: 60 })
  t.true((await age()) > revalidate)
})

test('an image is kept by a handler that serves many requests, as Next has one for images', async (t) => {
  const [one, other] = two(t)
  const images = one.request()
  await other.request().revalidateTag('posts')
  const value: CachedValue = { kind: 'IMAGE', buffer: Buffer.from([1]), etag: 'a', upstreamEtag: 'b', extension: 'png' }
  await images.set('digest', value, { kind: 'IMAGE', cacheControl: { revalidate: 60, expire: undefined } })
  const found = await other.request().get('digest', { kind: 'IMAGE', isFallback: false })
  t.deepEqual(found?.value, value)
  t.true(Math.abs(Date.now() - Number(found?.lastModified)) < 30_000)
})

test('two builds have pages of their own, and share revalidations', async (t) => {
  const [one, other] = two(t)
  const root = temporaryDirectory(t)
  const build = (id: string): HandlerContext => {
    const serverDistDir = join(root, id, '.next/server')
    mkdirSync(serverDistDir, { recursive: true })
    writeFileSync(join(serverDistDir, '../BUILD_ID'), `${id}\n`)
    return { serverDistDir }
  }
  const [blue, green] = [build('blue'), build('green')]
  await one.request(blue).set('/posts', page('blue'))
  t.is(await other.request(green).get('/posts', PAGE), null)
  await other.request(green).set('/posts', page('green'))
  t.is((await other.request(blue).get('/posts', PAGE))?.value.html, 'blue')
  await other.request(green).revalidateTag('posts')
  t.is(await one.request(blue).get('/posts', PAGE), null)
  // The page that a guide names to end an old build.
  await one.request(blue).set('/posts', page('blue'))
  await other.request(green).set('/posts', page('green'))
  t.is(one.cache.namespace('next').deletePrefix('blue:'), 1)
  t.is((await other.request(green).get('/posts', PAGE))?.value.html, 'green')
})

/** What `next build` writes for a page and a route, an hour ago. */
function builtFiles(t: ExecutionContext, files: Record<string, string | Buffer>): HandlerContext {
  const serverDistDir = join(temporaryDirectory(t), '.next/server')
  const past = Date.now() / 1000 - 3600
  for (const [name, content] of Object.entries({ '../BUILD_ID': 'one', ...files })) {
    const file = join(serverDistDir, name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, content)
    utimesSync(file, past, past)
  }
  return { serverDistDir }
}

const meta = (more: object = {}): string => JSON.stringify({ headers: { [TAGS]: 'posts' }, status: 200, ...more })

test('a page of the build serves until one is rendered, and never again', async (t) => {
  const [one, other] = two(t)
  const context = builtFiles(t, {
    'app/posts.html': 'built',
    'app/posts.rsc': Buffer.from('rsc'),
    'app/posts.meta': meta({ segmentPaths: ['/_tree', '/gone'] }),
    'app/posts.segments/_tree.segment.rsc': Buffer.from('tree'),
    'app/feed.body': Buffer.from([1, 2]),
    'app/feed.meta': meta(),
    'pages/about.html': 'about',
    'pages/about.json': '{"pageProps":{}}',
  })
  const built = await one.request(context).get('/posts', PAGE)
  t.like(built?.value, { kind: 'APP_PAGE', html: 'built', status: 200, rscData: Buffer.from('rsc') })
  t.deepEqual(built?.value.segmentData, new Map([['/_tree', Buffer.from('tree')]]))
  t.true(Math.abs(Date.now() - 3_600_000 - Number(built?.lastModified)) < 60_000)
  const route = await one.request(context).get('/feed', { kind: 'APP_ROUTE' })
  t.deepEqual(route?.value.body, Buffer.from([1, 2]))
  const about = await other.request(context).get('/about', { kind: 'PAGES' })
  t.like(about?.value, { html: 'about', pageData: { pageProps: {} } })
  for (const path of ['/../../BUILD_ID', '/nothing']) t.is(await one.request(context).get(path, PAGE), null)

  await one.request(context).set('/posts', page('rendered'))
  t.is((await other.request(context).get('/posts', PAGE))?.value.html, 'rendered')
  // As eviction does. The file must not come back.
  other.cache.namespace('next').deletePrefix('one:')
  t.is(await other.request(context).get('/posts', PAGE), null)
  t.is((await other.request(context).get('/feed', { kind: 'APP_ROUTE' }))?.value.kind, 'APP_ROUTE')
  await one.request(context).revalidateTag('posts')
  t.is(await other.request(context).get('/feed', { kind: 'APP_ROUTE' }), null)
})

test('keys with the route, as since Next 16.3, find the file of their own route', async (t) => {
  const [one] = two(t)
  const key = '/route-cache/APP_PAGE/abc/$/posts'
  const context = builtFiles(t, {
    'app/posts.html': 'built',
    'app/posts.rsc': 'rsc',
    'app/posts.meta': meta({ routeCache: { key, isFallback: false }, cacheControl: { revalidate: 7200 } }),
  })
  const found = await one.request(context).get(key, { ...PAGE, isFallback: false })
  t.is(found?.value.html, 'built')
  t.deepEqual(found?.cacheControl, { revalidate: 7200 })
  const other = '/route-cache/APP_PAGE/def/$/posts'
  t.is(await one.request(context).get(other, { ...PAGE, isFallback: false }), null)
})

test('with partial prerendering, the data are those of the prefetch, or none beside a postponed part', async (t) => {
  const [one] = two(t)
  const context = builtFiles(t, {
    'app/a.html': 'a',
    'app/a.prefetch.rsc': 'prefetch',
    'app/a.meta': meta({ postponed: 'state' }),
    'app/b.html': 'b',
    'app/b.meta': meta({ postponed: 'state' }),
    'app/c.html': 'c',
    'app/c.rsc': 'whole',
    'app/c.meta': meta(),
  })
  const read = async (path: string): Promise<unknown> => {
    const found = await one.request(context).get(path, { ...PAGE, isRoutePPREnabled: true })
    return found?.value.rscData?.toString() ?? found?.value.postponed
  }
  t.deepEqual([await read('/a'), await read('/b'), await read('/c')], ['prefetch', 'state', 'whole'])
})

// Serial: the variable belongs to the process.
test.serial('a build reads and writes no cache, and keeps its fetches for itself', async (t) => {
  process.env['NEXT_PHASE'] = 'phase-production-build'
  t.teardown(() => delete process.env['NEXT_PHASE'])
  let opened = 0
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const open = (): TestCache => {
    opened++
    return cache
  }
  const handler = new (cacheHandler(open))({})
  const functions = cacheHandlers(open)
  await handler.set('/posts', page('built'))
  t.is(await handler.get('/posts', PAGE), null)
  await handler.set('digest', { kind: 'FETCH', data: {}, revalidate: 60 }, { fetchCache: true })
  t.like(await handler.get('digest', { kind: 'FETCH' }), { value: { kind: 'FETCH' } })
  await handler.revalidateTag('posts')
  await functions.set('key', Promise.resolve(entry('value')))
  t.is(await textOf(await functions.get('key')), 'value')
  await functions.updateTags(['posts'])
  t.is(opened, 0)
  delete process.env['NEXT_PHASE']
  t.is(await handler.get('digest', { kind: 'FETCH' }), null)
  t.is(opened, 1)
})

/** As `Promise.withResolvers`, which Node.js 20 lacks. */
function detached<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let settle: (value: T) => void = () => undefined
  const promise = new Promise<T>((resolve) => {
    settle = resolve
  })
  return { promise, resolve: (value) => settle(value) }
}

test('a result of a function comes back in all processes, with its lifetimes', async (t) => {
  const [one, other] = two(t)
  await one.functions.set('key', Promise.resolve(entry('value', { tags: ['posts'] })))
  const found = await other.functions.get('key', [])
  t.like(found, { tags: ['posts'], stale: 30, expire: 3600, revalidate: 60 })
  t.is(await textOf(found), 'value')
  t.is(await textOf(await other.functions.get('key', [])), 'value', 'each read has a stream of its own')
  t.is(await other.functions.get('other', []), undefined)
  t.is(await one.functions.getExpiration(['posts']), Infinity)
  await one.functions.refreshTags()
})

test('a read waits for a result that is being written, and another process does not see it before', async (t) => {
  const [one, other] = two(t)
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const value = new ReadableStream<Uint8Array>({ start: (given) => void (controller = given) })
  const pending = detached<CacheEntry>()
  const writing = one.functions.set('key', pending.promise)
  const reading = one.functions.get('key', [])
  pending.resolve(entry('', { value }))
  controller?.enqueue(Buffer.from('first '))
  t.is(await other.functions.get('key', []), undefined)
  controller?.enqueue(Buffer.from('second'))
  controller?.close()
  t.is(await textOf(await within('the read', reading)), 'first second')
  await writing
  t.is(await textOf(await other.functions.get('key', [])), 'first second')
})

test('a result that fails is not stored, and its readers do not wait for ever', async (t) => {
  const [one] = two(t)
  const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error('no database')) })
  const writing = one.functions.set('key', Promise.resolve(entry('', { value: broken })))
  t.is(await one.functions.get('key', []), undefined)
  await writing
  await one.functions.set('key', Promise.reject(new Error('no database')))
  t.is(await one.functions.get('key', []), undefined)
})

test('tags end results in all processes: their own ones, soft ones, and stale ones after a last read', async (t) => {
  const [one, other] = two(t)
  const store = (text: string): Promise<void> =>
    one.functions.set('key', Promise.resolve(entry(text, { tags: ['posts'] })))
  const read = (softTags: string[] = []): Promise<CacheEntry | undefined> => other.functions.get('key', softTags)
  await store('1')
  await other.functions.updateTags(['posts'])
  t.is(await read(), undefined)
  await store('2')
  await one.functions.expireTags('other', 'posts')
  t.is(await read(), undefined)
  await store('3')
  await one.request().revalidateTag('_N_T_/posts')
  t.is(await read(['_N_T_/posts']), undefined)
  t.is(await textOf(await read(['_N_T_/about'])), '3')
  await one.functions.updateTags(['posts'], { expire: 3600 })
  t.like(await read(), { revalidate: -1 })
  await store('4')
  t.like(await read(), { revalidate: 60 })
  await one.functions.receiveExpiredTags('posts')
  t.is(await textOf(await read()), '4')
})

test('a result of data that were read before a revalidation is not kept', async (t) => {
  const [one, other] = two(t)
  const pending = detached<CacheEntry>()
  const writing = one.functions.set('key', pending.promise)
  await other.functions.updateTags(['posts'])
  pending.resolve(entry('old', { tags: ['posts'] }))
  await writing
  t.is(await one.functions.get('key', []), undefined)
  // Next calls `set` after the function has begun, and tells when that was.
  const timestamp = performance.timeOrigin + performance.now() - 60_000
  await one.functions.set('key', Promise.resolve(entry('old', { tags: ['posts'], timestamp })))
  t.is(await one.functions.get('key', []), undefined)
})

test('a result that is over is not kept', async (t) => {
  const [one] = two(t)
  await one.functions.set('key', Promise.resolve(entry('value', { expire: 0 })))
  t.is(await one.functions.get('key', []), undefined)
})

test('a page above 2 MB is kept, and one above the room of the cache is rendered again', async (t) => {
  const warning = warningOf('ERR_VALUE_TOO_LARGE')
  const [one, other] = two(t)
  const context = builtFiles(t, { 'app/posts.html': 'built', 'app/posts.rsc': '', 'app/posts.meta': meta() })
  const large = 'ü'.repeat(1_200_000)
  await one.request(context).set('/posts', page(large))
  t.true((await other.request(context).get('/posts', PAGE))?.value.html === large)
  await one.request(context).set('/posts', page('ü'.repeat(8_000_000)))
  t.is(await other.request(context).get('/posts', PAGE), null, 'neither the former page nor the file of the build')
  t.regex((await within('the warning', warning)).message, /Next goes on without the cache/)
})

function warningOf(code: string): Promise<Error> {
  return new Promise((resolve) => {
    process.on('warning', (warning) => {
      if (warning.message.includes(code)) resolve(warning)
    })
  })
}

test('a cache that cannot be opened, and one that is closed, are announced once and are misses', async (t) => {
  let warnings = 0
  process.on('warning', ({ message }) => (warnings += Number(message.includes('the disk is full'))))
  const Handler = cacheHandler(() => {
    throw new Error('the disk is full')
  })
  for (let i = 0; i < 3; i++) {
    const handler = new Handler({})
    await handler.set('/posts', page('new'))
    t.is(await handler.get('/posts', PAGE), null)
    await handler.revalidateTag('posts')
  }
  await new Promise((resolve) => setImmediate(resolve))
  t.is(warnings, 1)

  const opened: TestCache[] = []
  const reopened = new (cacheHandler(() => {
    const cache = createTestCache()
    opened.push(cache)
    t.teardown(() => cache.close())
    return cache
  }))({})
  await reopened.set('/posts', page('new'))
  opened[0]?.close()
  t.is(await reopened.get('/posts', PAGE), null)
  await reopened.set('/posts', page('new'))
  t.is((await reopened.get('/posts', PAGE))?.value.html, 'new')
  t.is(opened.length, 2)
})

test('a revalidation that cannot be written at once is written later, and nothing is served before', async (t) => {
  const [one, other] = two(t)
  await one.request().set('/posts', page('old'))
  const [action, later] = [one.request(), one.request()]
  one.cache.failNext('ERR_NO_SPACE', { on: 'write', times: 3 })
  await action.revalidateTag('posts')
  t.is(one.cache.pendingFailures, 1)
  t.is(await later.get('/posts', PAGE), null)
  t.is(one.cache.pendingFailures, 0)
  t.is((await other.request().get('/posts', PAGE))?.value.html, 'old')
  t.is(await later.get('/posts', PAGE), null)
  t.is(await other.request().get('/posts', PAGE), null)
  await one.request().set('/posts', page('new'))
  t.is((await other.request().get('/posts', PAGE))?.value.html, 'new')

  one.cache.failNext('ERR_BUSY', { on: 'write', times: 2 })
  await one.request().revalidateTag('posts')
  t.is(one.cache.pendingFailures, 0, 'a suspended writer is waited for')
  t.is(await other.request().get('/posts', PAGE), null)
})

test('where there is no room for another revalidation, everything older is rendered again', async (t) => {
  const [one, other] = two(t, { tagsSize: '300kb' })
  const context = builtFiles(t, { 'app/feed.html': 'feed', 'app/feed.rsc': '', 'app/feed.meta': meta() })
  await one.request(context).set('/posts', page('old', 'first'))
  await one.request().revalidateTag('first')
  await one.request(context).set('/about', page('about', 'about'))
  t.is((await other.request(context).get('/feed', PAGE))?.value.html, 'feed')
  const clock = one.cache.namespace('next').namespace('clock')
  for (let i = 0; clock.get('horizon') === undefined; i++) {
    t.true(i < 10_000, 'the records have a maximum size')
    await one.request().revalidateTag(`tag:${i}`)
  }
  for (const path of ['/posts', '/about', '/feed']) t.is(await other.request(context).get(path, PAGE), null)
  await one.request(context).set('/about', page('about', 'about'))
  t.is((await other.request(context).get('/about', PAGE))?.value.html, 'about')
  t.true(one.cache.namespace('next').namespace('tags').size <= 1, 'the records that the horizon replaces are gone')
})

test('deadlines of repeated profiles hold for what each of them found', async (t) => {
  const cache = createTestCache()
  t.teardown(() => cache.close())
  const times = new TagTimes(cache.namespace('times'), '1mb')
  const first = times.born()
  times.revalidate(['posts'], 1e-6)
  const second = times.born()
  times.revalidate(['posts'], 3600)
  const third = times.born()
  const fates = (): string[] => [first, second, third].map((born) => times.fateOf(['posts'], born))
  await eventually('the deadline', () => fates()[0] === 'dead')
  t.deepEqual(fates(), ['dead', 'stale', 'live'])
  // Many deadlines are joined, and none of them moves to a later time.
  for (let i = 0; i < 20; i++) times.revalidate(['posts'], 7200 + i)
  t.deepEqual(fates(), ['dead', 'stale', 'stale'])
  times.revalidate(['posts'], Infinity)
  t.is(times.fateOf(['posts'], times.born()), 'live')
  times.revalidate(['posts'])
  t.deepEqual(fates(), ['dead', 'dead', 'dead'])
  t.is(times.fateOf(['posts', 'x'.repeat(10_000), '', '\uD800'], times.born()), 'live')
  t.is(times.fateOf(['posts'], { file: Date.now() - 60_000 }), 'dead')
  t.is(times.fateOf(['posts'], { file: Date.now() + 60_000 }), 'live')
})

test('wrong arguments are refused when the handler is made', (t) => {
  t.throws(() => cacheHandler({} as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cacheHandlers(undefined as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cacheHandler(() => createTestCache(), { name: 'shop' } as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cacheHandler(() => createTestCache(), { namespace: 1 } as never), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => cacheHandler(() => createTestCache(), { tagsSize: 'much' as never }), { code: 'ERR_INVALID_ARGUMENT' })
})
