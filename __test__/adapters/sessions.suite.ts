/**
 * Sessions of a real application over two processes, the same for every framework.
 */
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { sessionStore } from '../../lib/adapters/session.ts'
import { onNative } from '../helpers/engine.ts'
import { Client, serveApp } from '../helpers/host-app.ts'
import { openCache } from '../helpers/segment.ts'
import { BEGUN, GO_ON } from './apps/app.ts'

/** Registers the suite. `app`: the name of the module in `apps/`. */
export function sessionSuite(app: string): void {
  const scenes: [sentence: string, run: (t: ExecutionContext, scene: Scene) => Promise<unknown>][] = []
  const check = (...scene: (typeof scenes)[number]): unknown => scenes.push(scene)

  onNative('another process')(`${app}: sessions over two processes`, async (t) => {
    t.timeout(120_000)
    const cache = openCache(t)
    const running = await serveApp(t, app, cache.name)
    for (const [sentence, run] of scenes) {
      cache.clear()
      sessionStore(cache).clear()
      const scene = { cache, client: new Client(running), stranger: new Client(running), pids: running.pids }
      const attempt = await t.try(`${app}: ${sentence}`, (step) => run(step, scene))
      attempt.commit()
    }
  })

  check('two processes serve one session', async (t, { client, stranger, pids }) => {
    await client.get('/login?name=Ada')
    const workers = new Set<number>()
    for (let count = 1; count <= 6; count++) {
      const { body, worker } = await client.get('/count')
      t.like(body, { name: 'Ada', count })
      workers.add(worker)
    }
    t.deepEqual([...workers].toSorted(), [...pids].toSorted())
    t.is((await stranger.get('/look')).body.name, undefined)
  })

  check('a new session replaces the old one, and its cookie tells the lifetime', async (t, { client, cache }) => {
    await client.get('/login?name=Ada')
    const [before] = await sessionStore(cache).ids()
    const { headers } = await client.get('/login?name=Grace')
    const [after, ...more] = await sessionStore(cache).ids()
    t.not(after, before)
    t.deepEqual(more, [])
    t.regex(String(headers['set-cookie']), /Expires=/)
    const left = cache.namespace('session').ttl(after ?? '') ?? 0
    t.true(left > 500_000 && left <= 600_000, `${left} ms`)
  })

  check('a request moves the end of the session', async (t, { client, cache }) => {
    await client.get('/login?name=Ada')
    const [sid = ''] = await sessionStore(cache).ids()
    cache.namespace('session').touch(sid, '1m')
    t.is((await client.get('/look')).body.name, 'Ada')
    const left = cache.namespace('session').ttl(sid) ?? 0
    t.true(left > 500_000 && left <= 600_000, `${left} ms`)
  })

  for (const late of ['/save-late', '/touch-late']) {
    check(`${late}: a request that began earlier does not revive an ended session`, async (t, { cache, client }) => {
      await client.get('/login?name=Ada')
      const [sid = ''] = await sessionStore(cache).ids()
      const slow = client.get(late)
      await cache.waitFor(BEGUN, { timeout: '20s' })
      t.deepEqual((await client.get('/logout')).body, { ended: true })
      cache.set(GO_ON, true)
      t.is((await slow).status, 200)
      t.is(await sessionStore(cache).get(sid), undefined)
      t.is(await sessionStore(cache).length(), 0)
      t.is((await client.get('/look')).body.name, undefined)
    })

    check(`${late}: the same request keeps a session that goes on`, async (t, { cache, client }) => {
      await client.get('/login?name=Ada')
      cache.set(GO_ON, true)
      await client.get(late)
      const { name, late: isLate = false } = (await client.get('/look')).body
      t.deepEqual({ name, isLate }, { name: 'Ada', isLate: late === '/save-late' })
    })
  }
}

interface Scene {
  readonly cache: SharedCache
  readonly client: Client
  readonly stranger: Client
  readonly pids: readonly number[]
}
