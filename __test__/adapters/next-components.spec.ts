/**
 * cache-machine/next in an application of Next 16 with `cacheComponents`: pages with parts that each request renders.
 *
 * The configuration and both handlers are the files of docs/guides/next.md.
 */
import test from 'ava'
import { segments } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { NEXT_LIMIT_MS, act, ask, change, countAt, nextApps } from '../helpers/next-app.ts'
import type { Server, Variant } from '../helpers/next-app.ts'

const { variants, installApp, buildApp, serveApp, countingService } = nextApps
const variant = variants['next-16-components'] as Variant
const SEGMENT = `next-components-${process.pid}`

let service: Awaited<ReturnType<typeof countingService>>
let app: Awaited<ReturnType<typeof installApp>>
let [one, two]: Server[] = []

test.before('the application of the guide is built and served', async (t) => {
  t.timeout(NEXT_LIMIT_MS)
  service = await countingService()
  app = await installApp(variant)
  const env = { ORIGIN: service.url, SEGMENT }
  const folder = await buildApp(app.folder, variant, 'build', env)
  t.is(segments.inspect(SEGMENT), undefined, 'a build does not open the cache')
  ;[one, two] = [await serveApp(folder, env), await serveApp(folder, env)]
})

test.after.always('servers, files and the segment are removed', async (t) => {
  t.timeout(NEXT_LIMIT_MS)
  await Promise.all([one, two].map((server) => server?.end()))
  service?.close()
  segments.destroy(SEGMENT, { force: true })
  await app?.remove()
})

const serversInTurn = (): [Server | undefined, Server | undefined][] => [
  [one, two],
  [two, one],
]

test.serial('a page of the build is served by both processes without a render', async (t) => {
  const before = service.countOf('posts/built')
  for (const server of [one, two]) t.is(await countAt(server, '/posts/built'), before)
  t.is(service.countOf('posts/built'), before)
})

test.serial('a page with a part that each request renders has its other parts from the cache', async (t) => {
  const shell = service.countOf('shell')
  const inner: (string | undefined)[] = []
  for (const server of [one, two]) {
    const live = service.countOf('live')
    const { count, text } = await ask(server, '/mixed')
    t.is(count, shell)
    t.regex(text, new RegExp(`live ${live + 1} inner`))
    inner.push(/inner (\d+)/.exec(text)?.[1])
  }
  t.is(inner[0], inner[1])
})

test.serial('revalidateTag and updateTag take effect in both processes on the next request', async (t) => {
  for (const [changed, other] of serversInTurn()) {
    const page = service.countOf('posts/built')
    await change(t, changed, { tag: 'post:built', profile: 'now' })
    t.is(await countAt(other, '/posts/built'), page + 1)
    t.is(await countAt(changed, '/posts/built'), page + 1)
    const [shell, inner] = [service.countOf('shell'), service.countOf('inner')]
    await act(t, changed, 'shell')
    await act(t, changed, 'inner')
    for (const server of [other, changed]) {
      const { count, text } = await ask(server, '/mixed')
      t.is(count, shell + 1)
      t.regex(text, new RegExp(`inner ${inner + 1}`))
    }
  }
})

test.serial('revalidatePath takes effect in both processes on the next request', async (t) => {
  for (const [changed, other] of serversInTurn()) {
    await ask(other, '/posts/new')
    const before = service.countOf('posts/new')
    await change(t, changed, { path: '/posts/new' })
    t.is(await countAt(other, '/posts/new'), before + 1)
    t.is(await countAt(changed, '/posts/new'), before + 1)
  }
})

test.serial('revalidateTag with a profile serves the stale page once more, and then the new one', async (t) => {
  const before = service.countOf('posts/built')
  await change(t, one, { tag: 'post:built', profile: 'max' })
  t.is(await countAt(two, '/posts/built'), before)
  await eventually('the new page', async () => (await countAt(two, '/posts/built')) > before, 60_000)
  t.is(await countAt(one, '/posts/built'), await countAt(two, '/posts/built'))
})
