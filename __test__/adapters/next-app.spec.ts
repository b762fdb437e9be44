/**
 * cache-machine/next in an application of Next, built twice and served by several processes over one segment.
 *
 * The variable `NEXT_VARIANT` names the version and the bundler; `npm run test:next` runs all of them. The servers are
 * those of `output: 'standalone'`, in folders of their own, so what the build traced is all that they have.
 */
import { readdirSync } from 'node:fs'
import test from 'ava'
import { open, segments } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { NEXT_LIMIT_MS, act, ask, change, countAt, nextApps } from '../helpers/next-app.ts'
import type { Server, Variant } from '../helpers/next-app.ts'

const { variants, installApp, buildApp, checkAppTypes, serveApp, countingService } = nextApps
const name = process.env['NEXT_VARIANT'] ?? 'next-16'
const variant = variants[name] as Variant
const major = Number(/\d+/.exec(variant.versions)?.[0])
const SEGMENT = `next-app-${process.pid}`

let service: Awaited<ReturnType<typeof countingService>>
let app: Awaited<ReturnType<typeof installApp>>
/** Two servers of the first build, and one of the second. */
let [one, two, later]: Server[] = []
const builds: Record<string, string> = {}

test.before(`${name} is built twice and served`, async (t) => {
  t.timeout(NEXT_LIMIT_MS)
  service = await countingService()
  app = await installApp(variant)
  const env = { ORIGIN: service.url, SEGMENT }
  for (const VERSION of ['one', 'two']) {
    builds[VERSION] = await buildApp(app.folder, variant, VERSION, { ...env, VERSION })
  }
  t.is(segments.inspect(SEGMENT), undefined, 'a build does not open the cache')
  const serve = (VERSION: string): Promise<Server> => serveApp(builds[VERSION] as string, { ...env, VERSION })
  ;[one, two, later] = [await serve('one'), await serve('one'), await serve('two')]
})

test.after.always('servers, files and the segment are removed', async (t) => {
  t.timeout(NEXT_LIMIT_MS)
  await Promise.all([one, two, later].map((server) => server?.end()))
  service?.close()
  segments.destroy(SEGMENT, { force: true })
  await app?.remove()
})

/** Next 16 deprecates a revalidation without a profile, and has one that ends at once. */
const now = (tag: string): { tag: string; profile?: string } => ({ tag, ...(major > 15 && { profile: 'now' }) })

test.serial('the standalone output has the package and its binary', (t) => {
  const names = readdirSync(builds['one'] as string, { recursive: true, encoding: 'utf8' })
  t.true(names.some((file) => /cache-machine\/dist\/lib\/adapters\/next\.c?js$/.test(file)))
  t.true(names.some((file) => /cache-machine-linux-[^/]+\/[^/]+\.node$/.test(file)))
})

test.serial('the handlers fit the types of Next', async (t) => {
  t.timeout(NEXT_LIMIT_MS)
  t.is(await checkAppTypes(app.folder), '')
})

test.serial('pages of the build are served by all processes without a render', async (t) => {
  const before = service.countOf('posts/built')
  for (const server of [one, two, one]) {
    t.like(await ask(server, '/posts/built'), { status: 200, cache: 'HIT', count: before - 1 })
  }
  t.is(service.countOf('posts/built'), before)
})

test.serial('a page that one process has rendered is served by the other', async (t) => {
  t.like(await ask(one, '/posts/new'), { count: 1, cache: 'MISS' })
  t.like(await ask(two, '/posts/new'), { count: 1, cache: 'HIT' })
  t.is(service.countOf('posts/new'), 1)
})

test.serial('revalidateTag takes effect in both processes on the next request, by one render', async (t) => {
  for (const [changed, other] of [[one, two] as const, [two, one] as const]) {
    for (const path of ['/posts/built', '/feed', '/forever']) {
      const tag = path === '/posts/built' ? 'post:built' : path.slice(1)
      await ask(other, path)
      const before = service.countOf(path.slice(1))
      await change(t, changed, now(tag))
      t.is(await countAt(other, path), before + 1, path)
      t.like(await ask(changed, path), { count: before + 1, cache: 'HIT' }, path)
      t.is(service.countOf(path.slice(1)), before + 1, path)
    }
  }
})

test.serial('revalidatePath takes effect in both processes on the next request', async (t) => {
  for (const [changed, other] of [[one, two] as const, [two, one] as const]) {
    await ask(other, '/posts/other')
    const before = service.countOf('posts/other')
    await change(t, changed, { path: '/posts/other' })
    t.is(await countAt(other, '/posts/other'), before + 1)
    t.like(await ask(changed, '/posts/other'), { count: before + 1, cache: 'HIT' })
  }
})

if (major > 15) {
  test.serial('revalidateTag with a profile serves the stale page once more, and then the new one', async (t) => {
    for (const [path, tag] of [['/posts/built', 'post:built'] as const, ['/forever', 'forever'] as const]) {
      await ask(two, path)
      const before = service.countOf(path.slice(1))
      await change(t, one, { tag, profile: 'max' })
      t.like(await ask(two, path), { count: before, cache: 'STALE' }, path)
      await eventually(`the new ${path}`, async () => (await countAt(two, path)) > before, 60_000)
      t.is(await countAt(one, path), await countAt(two, path))
    }
  })
}

test.serial('results of functions are shared, and a server action ends them in both processes', async (t) => {
  const first = await countAt(one, '/function')
  t.is(await countAt(two, '/function'), first)
  for (const [changed, other] of [[one, two] as const, [two, one] as const]) {
    const before = service.countOf('function')
    await act(t, changed, 'functions')
    t.is(await countAt(other, '/function'), before + 1)
    t.is(await countAt(changed, '/function'), before + 1)
    t.is(service.countOf('function'), before + 1)
  }
  if (major < 16) return
  const before = service.countOf('function')
  await change(t, one, { tag: 'functions', profile: 'max' })
  t.is(await countAt(two, '/function'), before, 'stale for once')
  await eventually('the new result', async () => (await countAt(two, '/function')) === before + 1, 60_000)
  t.is(await countAt(one, '/function'), before + 1)
})

test.serial('a page above 2 MB is shared, and one above maxEntrySize is rendered for each request', async (t) => {
  const large = await ask(one, '/large/1200000')
  t.like(large, { status: 200, cache: 'MISS' }, one?.output())
  t.true(large.text.length > 2 * 2 ** 20, `${large.text.length} characters: ${large.text.slice(0, 500)}`)
  const shared = await ask(two, '/large/1200000')
  t.like(shared, { status: 200, cache: 'HIT', count: large.count })
  t.true(shared.text === large.text)
  await change(t, two, now('large:1200000'))
  t.is(await countAt(one, '/large/1200000'), large.count + 1)
  t.is(await countAt(two, '/large/1200000'), large.count + 1)

  for (const server of [one, two, one]) {
    const { status, cache, text } = await ask(server, '/large/3000000')
    t.deepEqual([status, cache, text.length > 6_000_000], [200, 'MISS', true])
  }
  t.is(one?.output().match(/ERR_VALUE_TOO_LARGE/g)?.length, 1, 'announced once')
})

test.serial('the pages router has its pages in the cache as well', async (t) => {
  const before = service.countOf('legacy')
  const built = await countAt(one, '/legacy')
  t.is(await countAt(two, '/legacy'), built)
  t.is(service.countOf('legacy'), before)
  t.is((await ask(two, '/api/legacy')).text, 'changed')
  t.is(await countAt(one, '/legacy'), before + 1)
  t.is(await countAt(two, '/legacy'), before + 1)
})

test.serial('two builds do not read each other’s pages, and a revalidation holds for both', async (t) => {
  for (const path of ['/posts/built', '/posts/new', '/posts/fresh']) {
    for (const [server, version] of [[one, 'one'] as const, [later, 'two'] as const, [two, 'one'] as const]) {
      t.regex((await ask(server, path)).text, new RegExp(`version ${version} count`), path)
    }
  }
  const before = service.countOf('posts/fresh')
  await change(t, later, now('posts'))
  t.is(await countAt(one, '/posts/fresh'), before + 1)
  t.is(await countAt(two, '/posts/fresh'), before + 1)
  t.is(await countAt(later, '/posts/fresh'), before + 2)
})

test.serial('the cache has what the servers have rendered, by build', (t) => {
  const cache = open({ name: SEGMENT })
  t.teardown(() => cache.close())
  const keys = [...cache.namespace('next').keys()].map(String)
  const ids = new Set(keys.filter((key) => !key.startsWith('use-cache:')).map((key) => key.split(':')[0]))
  t.is(ids.size, 2, [...ids].join(' '))
  t.true(keys.some((key) => key.startsWith('use-cache:')))
})

test.serial('a cache that cannot be opened is announced once, and every page is served', async (t) => {
  t.timeout(NEXT_LIMIT_MS)
  const env = { ORIGIN: service.url, VERSION: 'one', SEGMENT: 'no/name' }
  const server = await serveApp(builds['one'] as string, env)
  try {
    for (const path of ['/posts/built', '/posts/new', '/feed', '/function', '/legacy', '/posts/built']) {
      t.is((await ask(server, path)).status, 200, path)
    }
    await change(t, server, now('posts'))
    // Once for each of the two handlers.
    t.is(server.output().match(/CACHE_MACHINE_NEXT/g)?.length, 2, server.output())
  } finally {
    await server.end()
  }
})
