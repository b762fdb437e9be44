/**
 * A rate limit under a real PM2 daemon: what all workers together let through is exactly the limit, also over a reload.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { Client } from '../helpers/host-app.ts'
import { root } from '../helpers/internals.ts'
import { segmentName } from '../helpers/segment.ts'

const { Pm2 } = (await import(join(root, 'scripts/story/pm2.mjs'))) as {
  Pm2: new (home: string) => Record<'start' | 'reload', (what: string) => Promise<void>> & {
    kill(): Promise<void>
    workers(): Promise<{ pid: number }[]>
  }
}

const { freePorts } = (await import(join(root, 'scripts/story/ports.mjs'))) as {
  freePorts(howMany: number): Promise<number[]>
}

const WORKERS = 3
const LIMIT = 40
const REQUESTS = 120

/** The application, as a user writes it: CommonJS, the package and the host by their names. */
const app = (name: string, port: number): string => `
const express = require('express')
const { rateLimit } = require('express-rate-limit')
const { open } = require('cache-machine')
const { expressRateLimitStore } = require('cache-machine/express-rate-limit')
const cache = open({ name: '${name}', size: '8mb' })
const app = express()
app.get('/ready', (request, response) => response.set('x-worker', process.pid).json({}))
app.use((request, response, next) => next(void response.set('x-worker', process.pid)))
app.use(
  rateLimit({ windowMs: 600_000, limit: ${LIMIT}, store: expressRateLimitStore(cache), message: { refused: true } }),
)
app.get('/', (request, response) => response.json({}))
app.listen(${port}, '127.0.0.1')
`

onNative('another process')('express-rate-limit: the workers of PM2 together let through the limit', async (t) => {
  t.timeout(150_000)
  const name = segmentName(t)
  const [port = 0] = await freePorts(1)
  const home = mkdtempSync(join(tmpdir(), 'cache-machine-pm2-'))
  // In the folder of the package, so that its own name means the package itself.
  const script = join(root, `dist/pm2-app-${process.pid}.cjs`)
  const pm2 = new Pm2(home)
  t.teardown(async () => {
    await pm2.kill()
    rmSync(home, { recursive: true, force: true })
    rmSync(script, { force: true })
  })
  writeFileSync(script, app(name, port))
  const ecosystem = join(home, 'ecosystem.config.cjs')
  const settings = { name: 'limited', script, instances: WORKERS, exec_mode: 'cluster' }
  writeFileSync(ecosystem, `module.exports = { apps: [${JSON.stringify(settings)}] }`)

  const client = new Client({ port })
  const allAnswer = async (): Promise<void> => {
    const pids = (await pm2.workers()).map(({ pid }) => pid).toSorted()
    const seen = new Set<number>()
    await eventually('each worker answers', async () => {
      const worker = await client
        .get('/ready')
        .then((answer) => answer.worker)
        .catch(() => 0)
      return seen.add(worker) && pids.every((pid) => seen.has(pid))
    })
    t.is(pids.length, WORKERS)
  }
  const send = async (requests: number): Promise<Map<number, number>> => {
    const counts = new Map<number, number>()
    let sent = 0
    const lane = async (): Promise<void> => {
      while (sent++ < requests) {
        const { status } = await client.get('/')
        counts.set(status, (counts.get(status) ?? 0) + 1)
      }
    }
    await Promise.all(Array.from({ length: 12 }, lane))
    return counts
  }

  await pm2.start(ecosystem)
  await allAnswer()
  t.deepEqual(Object.fromEntries(await send(LIMIT - 10)), { 200: LIMIT - 10 })
  await pm2.reload('limited')
  await allAnswer()
  t.deepEqual(Object.fromEntries(await send(REQUESTS)), { 200: 10, 429: REQUESTS - 10 })
})
