/**
 * The server of the dashboard without a browser: what it refuses, and how it is mounted.
 */
import { createServer, request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders, RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import express from 'express'
import fastify from 'fastify'
import { dashboard } from '../../dashboard.ts'
import type { Dashboard, DashboardOptions } from '../../dashboard.ts'
import { CacheError, segments } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { start } from '../helpers/command-line.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { STARTED } from '../helpers/fork.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

interface Ask {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

function ask(port: number, path: string, { method, headers = {}, body }: Ask = {}): Promise<Answer> {
  const sent = body === undefined ? undefined : JSON.stringify(body)
  const type = sent === undefined ? {} : { 'content-type': 'application/json' }
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        method: method ?? (sent === undefined ? 'GET' : 'POST'),
        headers: { ...type, ...headers },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => (text += part))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }))
      },
    )
    request.on('error', reject).end(sent)
  })
}

function codeOf({ text }: Answer): unknown {
  return (JSON.parse(text) as { error?: { code: string } }).error?.code
}

/** A server that ends with the test; returns its port. */
async function listen(t: ExecutionContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

async function mounted(
  t: ExecutionContext,
  cache: SharedCache,
  options: Partial<DashboardOptions> = {},
): Promise<{ port: number; page: Dashboard }> {
  const page = dashboard(cache, { authorize: () => true, ...options })
  t.teardown(() => page.close())
  return { port: await listen(t, page), page }
}

test('authorize is required, and the error names the fix', (t) => {
  const cache = openCache(t)
  const error = t.throws(() => dashboard(cache, {} as DashboardOptions), { instanceOf: CacheError })
  t.is(error?.code, 'ERR_INVALID_ARGUMENT')
  t.regex(error?.hint ?? '', /Pass authorize: \(request\) => boolean/)
  const wrong: [unknown, string][] = [
    [{ authorize: true }, 'a value that is no function'],
    [{ authorize: () => true, write: 'yes' }, 'write'],
    [{ authorize: () => true, base: 'cache' }, 'base'],
    [{ authorize: () => true, hosts: 'example.com' }, 'hosts'],
    [{ authorize: () => true, auth: true }, 'an unknown option'],
  ]
  for (const [options, what] of wrong) {
    t.is(
      t.throws(() => dashboard(cache, options as DashboardOptions), { instanceOf: CacheError })?.code,
      'ERR_INVALID_ARGUMENT',
      what,
    )
  }
  t.throws(() => dashboard({ name: 'a', namespaceName: '' }, { authorize: () => true }), { message: /a cache of open/ })
  t.throws(() => dashboard(cache.namespace('n'), { authorize: () => true }), { message: /takes no namespace/ })
})

test('authorize that is false, throws or rejects is 403; it may be asynchronous, and gets the request', async (t) => {
  const cache = openCache(t)
  const answers: DashboardOptions['authorize'][] = [
    () => false,
    async () => false,
    () => {
      throw new Error('no')
    },
    () => Promise.reject(new Error('no')),
    () => 1 as unknown as boolean,
  ]
  for (const authorize of answers) {
    const { port } = await mounted(t, cache, { authorize })
    const answer = await ask(port, '/api/segments')
    t.deepEqual([answer.status, codeOf(answer)], [403, 'ERR_FORBIDDEN'])
    t.is((await ask(port, '/')).status, 403)
    t.is((await ask(port, '/api/feed')).status, 403)
  }
  const { port } = await mounted(t, cache, { authorize: async ({ headers }) => headers['x-user'] === 'admin' })
  t.is((await ask(port, '/api/segments', { headers: { 'x-user': 'admin' } })).status, 200)
  t.is((await ask(port, '/api/segments')).status, 403)
})

test('a host that is no name of the machine is refused before authorize is asked', async (t) => {
  let asked = 0
  const cache = openCache(t)
  const authorize = (): boolean => ++asked > 0
  const { port } = await mounted(t, cache, { authorize, hosts: ['admin.example.com', 'Other.example:81'] })
  for (const host of [
    'evil.example',
    `evil.example:${port}`,
    '127.0.0.1.evil.example',
    'localhost.evil.example',
    '10.0.0.1',
  ]) {
    const answer = await ask(port, '/api/segments', { headers: { host } })
    t.deepEqual([answer.status, codeOf(answer)], [403, 'ERR_HOST'], host)
  }
  t.is(asked, 0)
  const own = [
    '127.0.0.1',
    `localhost:${port}`,
    '[::1]:80',
    '127.8.8.8',
    'admin.example.com',
    'ADMIN.example.com:8443',
    'other.example:81',
  ]
  for (const host of own) t.is((await ask(port, '/api/segments', { headers: { host } })).status, 200, host)
  t.is((await ask(port, '/api/segments', { headers: { host: 'other.example:82' } })).status, 403)
})

test('a page of another origin gets no data, no feed and no change', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const { port } = await mounted(t, cache, { write: true })
  const own = `127.0.0.1:${port}`
  const foreign: Record<string, string>[] = [
    { origin: 'https://evil.example' },
    { origin: `http://127.0.0.1:${port + 1}` },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site', origin: `http://${own}` },
  ]
  for (const headers of foreign) {
    for (const path of ['/api/segments', '/api/feed', '/api/entry?text=a', '/app.js']) {
      const answer = await ask(port, path, { headers })
      t.deepEqual([answer.status, codeOf(answer)], [403, 'ERR_ORIGIN'], `${path} ${JSON.stringify(headers)}`)
    }
    const answer = await ask(port, '/api/change/delete', { headers, body: { text: 'a' } })
    t.deepEqual([answer.status, codeOf(answer)], [403, 'ERR_ORIGIN'])
  }
  t.true(cache.has('a'))
  // A link elsewhere may lead to the page, which has no data in it.
  const navigation = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  t.is((await ask(port, '/', { headers: navigation })).status, 200)
  t.is((await ask(port, '/api/segments', { headers: navigation })).status, 403)
  const same = { origin: `http://${own}`, 'sec-fetch-site': 'same-origin' }
  t.is((await ask(port, '/api/segments', { headers: same })).status, 200)
  t.is((await ask(port, '/api/change/delete', { headers: same, body: { text: 'a' } })).status, 200)
  t.false(cache.has('a'))
})

test('a change needs write, POST, JSON, and a body of a bounded size', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const readOnly = await mounted(t, cache)
  for (const change of ['delete', 'ttl', 'clear', 'invalidate', 'nothing']) {
    const answer = await ask(readOnly.port, `/api/change/${change}`, { body: { text: 'a', ttl: 1, tags: ['a'] } })
    t.deepEqual([answer.status, codeOf(answer)], [403, 'ERR_READ_ONLY'], change)
  }
  const { port } = await mounted(t, cache, { write: true })
  t.is((await ask(port, '/api/change/delete?text=a')).status, 405)
  t.is((await ask(port, '/api/segments', { body: {} })).status, 405)
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data']) {
    const answer = await ask(port, '/api/change/delete', { headers: { 'content-type': type }, body: { text: 'a' } })
    t.is(answer.status, 415, type)
  }
  t.is((await ask(port, '/api/change/delete', { body: { text: 'x'.repeat(70_000) } })).status, 400)
  t.is((await ask(port, '/api/change/delete', { body: [1] })).status, 400)
  t.is((await ask(port, '/api/change/delete', { body: {} })).status, 400)
  t.is((await ask(port, '/api/change/toString', { body: {} })).status, 400)
  t.true(cache.has('a'))
})

test('changes: lifetime, tags, delete, clear, also in a namespace', async (t) => {
  const cache = openCache(t)
  const pages = cache.namespace('pages')
  const { port } = await mounted(t, cache, { write: true })
  const change = (name: string, body: object): Promise<Answer> => ask(port, `/api/change/${name}`, { body })
  cache.set('a', 1)
  pages.set('a', 2, { tags: ['news'] })
  t.is((await change('ttl', { text: 'a', ttl: 60_000 })).text, '{"done":true}')
  t.true((cache.ttl('a') ?? 0) <= 60_000)
  t.is((await change('ttl', { text: 'a', ttl: null })).text, '{"done":true}')
  t.is(cache.ttl('a'), Infinity)
  t.is((await change('ttl', { text: 'a', ttl: -1 })).status, 400)
  t.is((await change('ttl', { text: 'a', ttl: '1m' })).status, 400)
  t.is((await change('invalidate', { tags: ['news'] })).status, 200)
  t.true(pages.has('a'), 'each namespace has its own tags')
  t.is((await change('invalidate', { namespace: 'pages', tags: ['news'] })).status, 200)
  t.false(pages.has('a'))
  t.is((await change('invalidate', { tags: [] })).status, 400)
  pages.set(Buffer.from([255]), 3)
  t.is((await change('delete', { namespace: 'pages', hex: 'ff' })).text, '{"done":true}')
  t.is((await change('clear', { namespace: 'none' })).status, 400)
  t.deepEqual(cache.stats().namespaces, ['pages'], 'no namespace is made')
  pages.set('b', 1)
  t.is((await change('clear', { namespace: 'pages' })).status, 200)
  t.deepEqual([pages.size, cache.has('a')], [0, true])
})

test('every answer has the headers', async (t) => {
  const { port } = await mounted(t, openCache(t))
  for (const path of ['/', '/app.js', '/app.css', '/uplot/uplot.js', '/api/segments', '/nothing', '/api/nothing']) {
    const { headers } = await ask(port, path)
    const policy = headers['content-security-policy'] as string
    t.true(policy.includes("default-src 'none'") && policy.includes("frame-ancestors 'none'"), path)
    t.false(/unsafe|\*|http:/.test(policy))
    t.is(headers['x-content-type-options'], 'nosniff')
    t.is(headers['cache-control'], 'no-store')
    t.is(headers['referrer-policy'], 'no-referrer')
    t.is(headers['x-frame-options'], 'DENY')
    t.is(headers['access-control-allow-origin'], undefined)
  }
  const { text } = await ask(port, '/')
  t.false(/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=/.test(text), 'nothing inline')
  t.false(/https?:\/\/(?!www\.w3\.org)/.test(text), 'nothing from other servers')
})

test('only the files of the page are served', async (t) => {
  const { port } = await mounted(t, openCache(t))
  for (const path of [
    '/../handler.cjs',
    '/..%2fhandler.cjs',
    '/uplot/../../handler.cjs',
    '/uplot/LICENSE',
    '/index.html/',
    '//app.js',
    '/%2e%2e/handler.cjs',
    '/page/app.js',
  ]) {
    t.is((await ask(port, path)).status, 404, path)
  }
})

test('reads of the dashboard leave no trace, and create nothing', async (t) => {
  const name = segmentName(t)
  const page = dashboard(name, { authorize: () => true })
  t.teardown(() => page.close())
  const port = await listen(t, page)
  t.deepEqual([(await ask(port, '/api/keys')).status, (await ask(port, '/api/segments')).status], [404, 200])
  t.is(segments.inspect(name), undefined)
  const cache = openCache(t, { name })
  cache.set('a', { b: 1 })
  const before = cache.stats()
  const keys = JSON.parse((await ask(port, '/api/keys?prefix=a')).text) as { keys: { text: string }[]; walk: unknown }
  t.deepEqual([keys.keys.map(({ text }) => text), keys.walk], [['a'], null])
  const entry = JSON.parse((await ask(port, '/api/entry?text=a')).text) as { value: { type: string } }
  t.is(entry.value.type, 'Object')
  t.is((await ask(port, '/api/entry?text=none')).text, 'null')
  t.is((await ask(port, '/api/entry')).status, 400)
  t.is((await ask(port, '/api/keys?segment=other')).status, 400)
  const after = cache.stats()
  t.deepEqual([after.hits, after.misses, after.sets], [before.hits, before.misses, before.sets])
})

test('the keys of each version of the application, first those of the cache itself', async (t) => {
  const cache = openCache(t)
  const own = openCache(t, { name: cache.name, version: 'v2' })
  cache.set('a', 'without')
  own.set('a', 'second')
  own.namespace('n').set('b', 1)
  const { port } = await mounted(t, own, { write: true })
  const overview = JSON.parse((await ask(port, '/api/segments')).text) as { appVersion: string }
  t.is(overview.appVersion, 'v2')
  const keysOf = async (query: string): Promise<string[]> => {
    const { keys } = JSON.parse((await ask(port, `/api/keys?${query}`)).text) as { keys: { text: string }[] }
    return keys.map(({ text }) => text)
  }
  t.deepEqual(await keysOf('namespace=n'), ['b'])
  t.deepEqual(await keysOf('appVersion=&namespace=n'), [])
  const valueOf = async (query: string): Promise<unknown> =>
    (JSON.parse((await ask(port, `/api/entry?text=a${query}`)).text) as { value: { text?: string } }).value.text
  t.deepEqual(
    [await valueOf(''), await valueOf('&appVersion=v2'), await valueOf('&appVersion=')],
    ['second', 'second', 'without'],
  )
  const missing = await ask(port, '/api/keys?appVersion=v3')
  t.deepEqual([missing.status, codeOf(missing)], [400, 'ERR_INVALID_ARGUMENT'])
  t.deepEqual(
    own.stats().versions.map(({ name }) => name),
    ['v2'],
    'no version is made',
  )
  t.is((await ask(port, '/api/change/delete', { body: { text: 'a', appVersion: '' } })).text, '{"done":true}')
  t.deepEqual([cache.has('a'), own.get('a')], [false, 'second'])
})

test('pages of keys: each key once, also over many pages; a walk that is over is said', async (t) => {
  const cache = openCache(t)
  for (let i = 0; i < 450; i++) cache.set(`k${i}`, i)
  const { port } = await mounted(t, cache)
  const seen: string[] = []
  let path = '/api/keys'
  for (;;) {
    const page = JSON.parse((await ask(port, path)).text) as { keys: { text: string }[]; walk: string | null }
    seen.push(...page.keys.map(({ text }) => text))
    if (page.walk === null) break
    path = `/api/keys?walk=${page.walk}`
  }
  t.deepEqual([seen.length, new Set(seen).size], [450, 450])
  t.is((await ask(port, '/api/keys?walk=none')).status, 400)
})

test('the feed sends history and frames, and ends when authorize says so or the dashboard is closed', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const { port, page } = await mounted(t, cache)
  const events = new Map<string, string>()
  let isEnded = false
  const request = httpRequest({ host: '127.0.0.1', port, path: '/api/feed' }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (part: string) => {
      text += part
      for (const [, event, data] of text.matchAll(/event: (\w+)\ndata: (.*)\n\n/g)) events.set(event ?? '', data ?? '')
    })
    response.on('end', () => (isEnded = true))
  })
  request.on('error', () => (isEnded = true)).end()
  const frame = JSON.parse(await eventually('a frame', () => events.get('frame'))) as Record<
    string,
    { entries?: number; length?: number }
  >
  t.is(events.get('history'), '[]')
  t.is(frame['stats']?.entries, 1)
  t.is(frame['shards']?.length, 1)
  t.is(cache.stats().processes, 1)
  page.close()
  await eventually('the end of the feed', () => isEnded)
})

test('Express: below a path, without the slash, with a parser of bodies, and next for the rest', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const app = express()
  const page = dashboard(cache, { authorize: () => true, write: true })
  t.teardown(() => page.close())
  app.use(express.json())
  app.use('/admin/cache', page)
  app.use((_request, response) => {
    response.status(418).end()
  })
  const port = await listen(t, app)
  const redirected = await ask(port, '/admin/cache?segment=x')
  t.deepEqual([redirected.status, redirected.headers.location], [302, './cache/'])
  t.true((await ask(port, '/admin/cache/')).text.includes('<title>cache-machine</title>'))
  t.is((await ask(port, '/admin/cache/app.js')).status, 200)
  t.is((await ask(port, '/admin/cache/api/segments')).status, 200)
  t.is((await ask(port, '/admin/cache/api/change/delete', { body: { text: 'a' } })).text, '{"done":true}')
  t.is((await ask(port, '/admin')).status, 418)
})

test('node:http: base, and 404 or next for other paths', async (t) => {
  const page = dashboard(openCache(t), { authorize: () => true, base: '/cache' })
  t.teardown(() => page.close())
  const port = await listen(t, page)
  t.is((await ask(port, '/cache')).headers.location, './cache/')
  t.is((await ask(port, '/cache/')).status, 200)
  t.is((await ask(port, '/cache/app.css')).status, 200)
  t.is((await ask(port, '/cached')).status, 404)
  t.is((await ask(port, '/')).status, 404)
  const withNext = await listen(t, (request, response) => page(request, response, () => response.writeHead(204).end()))
  t.is((await ask(withNext, '/other')).status, 204)
})

test('Fastify: a plugin with a prefix', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  const app = fastify()
  await app.register(dashboard(cache, { authorize: () => true, write: true }).fastify, { prefix: '/cache' })
  app.post('/echo', (request, reply) => reply.send(request.body))
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  t.deepEqual([(await ask(port, '/cache')).status, (await ask(port, '/cache')).headers.location], [302, './cache/'])
  t.true((await ask(port, '/cache/')).text.includes('<title>cache-machine</title>'))
  t.is((await ask(port, '/cache/uplot/uplot.css')).status, 200)
  t.is((await ask(port, '/cache/api/segments', { headers: { host: 'evil.example' } })).status, 403)
  t.is((await ask(port, '/cache/api/change/delete', { body: { text: 'a' } })).text, '{"done":true}')
  t.is((await ask(port, '/echo', { body: { b: 1 } })).text, '{"b":1}', 'the parsers of the application stay')
})

test('the portable engine has a dashboard as well', async (t) => {
  const cache = openCache(t, { engine: 'portable', size: '32mb' })
  cache.set('a', 1)
  const { port } = await mounted(t, cache)
  t.is((JSON.parse((await ask(port, '/api/segments')).text) as { segments: unknown[] }).segments.length, 1)
  t.is((JSON.parse((await ask(port, '/api/keys')).text) as { keys: unknown[] }).keys.length, 1)
})

test.serial('the command: a token in the URL becomes a cookie, and nothing is open without it', async (t) => {
  const cache = openCache(t)
  const child = start(t, ['ui', cache.name, '--json'])
  const line = new Promise<string>((resolve) => child.stdout.setEncoding('utf8').once('data', resolve))
  const { url } = JSON.parse(await within('the URL', line, STARTED)) as { url: string }
  const { hostname, port: text, searchParams } = new URL(url)
  const port = Number(text)
  t.is(hostname, '127.0.0.1')
  const token = searchParams.get('token') ?? ''
  t.true(token.length >= 32)
  for (const path of [
    '/',
    '/api/segments',
    '/app.js',
    '/?token=',
    `/?token=${token.slice(1)}x`,
    `/api/segments?token=${token}`,
  ]) {
    t.is((await ask(port, path)).status, 401, path)
  }
  const { status, headers } = await ask(port, `/?token=${token}`)
  t.deepEqual([status, headers.location], [303, '/'])
  const [cookie = ''] = headers['set-cookie'] ?? []
  t.regex(cookie, /; HttpOnly; SameSite=Strict$/)
  const [pair = ''] = cookie.split(';')
  t.is((await ask(port, '/api/segments', { headers: { cookie: `other=1; ${pair}` } })).status, 200)
  t.is((await ask(port, '/api/segments', { headers: { cookie: `${pair}x` } })).status, 401)
  t.is((await ask(port, '/api/segments', { headers: { cookie: pair, host: 'evil.example' } })).status, 403)
  t.is((await ask(port, '/api/change/clear', { headers: { cookie: pair }, body: {} })).status, 403)
  child.kill('SIGINT')
  await within('the end', new Promise((resolve) => child.on('exit', resolve)), STARTED)
  t.is(child.exitCode, 0)
})
