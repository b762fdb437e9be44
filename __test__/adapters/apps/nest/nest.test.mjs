/**
 * Two servers of a Nest application share one cache. `SERVER` is the file of the server.
 */
import { deepEqual, equal, notEqual } from 'node:assert/strict'
import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { after, test } from 'node:test'
import { open, segments } from 'cache-machine'

const endings = []
after(async () => {
  for (const end of endings) await end()
})

const scenes = new Map()
/** Two servers and the cache that they share, the same for all tests of a mode. */
function start(mode) {
  if (!scenes.has(mode)) scenes.set(mode, startServers(mode))
  return scenes.get(mode)
}

async function startServers(mode) {
  const name = `${process.env.SEGMENTS ?? 'nest-'}${randomUUID()}`
  endings.push(() => segments.destroy(name, { force: true }))
  const cache = open({ name, size: '8mb' })
  endings.unshift(() => cache.close())
  const servers = [1, 2].map(() => {
    const child = fork(new URL(process.env.SERVER, import.meta.url), [name, mode], { execArgv: [] })
    const exit = once(child, 'exit')
    endings.unshift(() => {
      child.kill('SIGKILL')
      return exit
    })
    return { child, exit, ready: Promise.race([once(child, 'message').then(([{ port }]) => port), exit]) }
  })
  const pages = []
  for (const { ready } of servers) {
    const port = await ready
    equal(typeof port, 'number', 'the server listens')
    pages.push(async (path, method = 'GET') => {
      const answer = await fetch(`http://127.0.0.1:${port}/${path}`, { method })
      equal(answer.status, 200)
      const text = await answer.text()
      return { state: answer.headers.get('x-cache'), body: text === '' ? undefined : JSON.parse(text) }
    })
  }
  return { cache, pages, servers }
}

test('a page that one server made is answered by the other', async () => {
  const {
    pages: [one, other],
  } = await start('module')
  const first = await one('now')
  deepEqual([first.state, first.body.handled], ['MISS', 1])
  deepEqual(await other('now'), { state: 'HIT', body: first.body })
  deepEqual(await one('now'), { state: 'HIT', body: first.body })
})

test('the address with its query is the key', async () => {
  const {
    pages: [one, other],
  } = await start('module')
  const first = await one('now?page=1')
  const second = await one('now?page=2')
  notEqual(first.body.handled, second.body.handled)
  deepEqual((await other('now?page=2')).body, second.body)
})

test('CacheTTL is milliseconds', async () => {
  const {
    cache,
    pages: [one, other],
  } = await start('module')
  const first = await one('short')
  const left = cache.namespace('nest').ttl('short')
  equal(left === undefined || (left > 0 && left <= 200), true)
  for (const end = Date.now() + 10_000; cache.namespace('nest').has('short') && Date.now() < end;) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const later = await other('short')
  deepEqual([later.state, later.body.handled], ['MISS', first.body.handled + 1])
})

test('null is no answer to keep', async () => {
  const {
    cache,
    pages: [one, other],
  } = await start('module')
  await one('nothing')
  await other('nothing')
  equal(cache.get('nothing'), 2)
})

test('clear reaches both servers, and only the entries of Nest', async () => {
  const {
    cache,
    pages: [one, other],
  } = await start('module')
  const { body } = await one('now?cleared')
  await other('clear', 'DELETE')
  const again = await one('now?cleared')
  deepEqual([again.state, again.body.handled], ['MISS', body.handled + 1])
  equal(cache.get('handled'), body.handled + 1)
})

for (const [mode, loads] of [
  ['module', 2],
  ['host-wide', 1],
]) {
  test(`wrap loads ${loads === 1 ? 'once on the host' : 'once in each process'}: ${mode}`, async () => {
    const {
      cache,
      pages: [one, other],
    } = await start(mode)
    const answers = [one('wrapped'), one('wrapped'), other('wrapped')]
    for (const end = Date.now() + 10_000; (cache.get('loads') ?? 0) < loads && Date.now() < end;) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    cache.set('go', true)
    const bodies = (await Promise.all(answers)).map(({ body }) => body.load)
    equal(new Set(bodies).size, loads)
    equal(cache.get('loads'), loads)
  })
}

test('a server ends when Nest closes, and the cache stays', async () => {
  const {
    cache,
    pages: [one, other],
    servers: [first],
  } = await start('module')
  const { body } = await one('now?last')
  first.child.disconnect()
  deepEqual(await first.exit, [0, null])
  deepEqual((await other('now?last')).body, body)
  equal(cache.get('handled'), body.handled)
})
