/**
 * The module under a real PM2 daemon, installed from a registry on loopback and from a folder.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'
import { onNative } from '../helpers/engine.ts'
import { eventually } from '../helpers/eventually.ts'
import { STARTED } from '../helpers/fork.ts'
import { Client } from '../helpers/host-app.ts'
import { Pm2, freePorts } from '../helpers/pm2-app.ts'
import type { Pm2Process } from '../helpers/pm2-app.ts'
import { Registry, cleanEnvironment } from '../helpers/published.ts'
import { openCache } from '../helpers/segment.ts'

type Daemon = InstanceType<typeof Pm2>

const test = onNative('another process')
const MODULE = 'cache-machine'
const folder = mkdtempSync(join(tmpdir(), 'cache-machine-pm2-module-'))
let registry: Registry

test.before(async (t) => {
  t.timeout(120_000)
  registry = await Registry.start(folder)
  await registry.publish()
})

test.after.always(async () => {
  await registry?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A daemon of its own, with a home in which npm finds the registry and no settings of the user. */
function startDaemon(t: ExecutionContext): Daemon {
  const place = mkdtempSync(join(folder, 'daemon-'))
  const environment = cleanEnvironment(place) as Record<string, string>
  const pm2 = new Pm2(join(place, 'pm2'), { ...environment, npm_config_registry: registry.url })
  t.teardown(() => pm2.kill())
  return pm2
}

/** Resolves when PM2 shows metrics of the module that fulfil the condition. */
function shows(
  pm2: Daemon,
  what: string,
  check: (metrics: Readonly<Record<string, { value: unknown }>>) => unknown,
): Promise<unknown> {
  return eventually(what, async () => check((await find(pm2, MODULE))[0]?.metrics ?? {}), STARTED)
}

async function find(pm2: Daemon, name: string): Promise<Pm2Process[]> {
  return (await pm2.list()).filter((each) => each.name === name)
}

test.serial('installed from a package, it reports, sweeps, clears and destroys', async (t) => {
  t.timeout(240_000)
  const pm2 = startDaemon(t)
  const cache = openCache(t, { size: '8mb' })
  const { name } = cache
  // Without it the module would keep the segments of other tests open.
  await pm2.set(`${MODULE}:segments`, name)
  await pm2.install(MODULE)
  await shows(pm2, 'the segment is found', (metrics) => metrics[`${name}: entries`])

  for (let i = 0; i < 100; i++) cache.set(`k${i}`, i)
  for (let i = 0; i < 200; i++) cache.get(`k${i}`)
  await shows(pm2, 'its counts are shown', (metrics) => metrics[`${name}: hit ratio`]?.value === '50.0')
  await shows(pm2, 'and the entries', (metrics) => metrics[`${name}: entries`]?.value === 100)
  const shown = await pm2.show(MODULE)
  t.regex(shown, new RegExp(`${name}: memory .*MiB of`))
  t.regex(shown, /clear/)

  t.regex(await pm2.trigger(MODULE, 'clear', name), new RegExp(`${name} is empty`))
  t.is(cache.size, 0)
  t.regex(await pm2.trigger(MODULE, 'clear'), /clear takes the name of a segment/)
  t.regex(await pm2.trigger(MODULE, 'clear', 'no-such-segment'), /no-such-segment/)
  t.regex(await pm2.trigger(MODULE, 'destroy', name), /attached/, 'not while the application uses it')

  // Only the module has the segment open now, so only it can reclaim what expires.
  for (let i = 0; i < 50; i++) cache.set(`short${i}`, i, '500ms')
  cache.close()
  await shows(pm2, 'expired entries are reclaimed', (metrics) => metrics[`${name}: entries`]?.value === 0)
  t.regex(await pm2.trigger(MODULE, 'destroy', name), new RegExp(`${name} is destroyed`))
  await shows(pm2, 'the segment is gone', (metrics) => metrics[`${name}: entries`]?.value === 'gone')
  const [module] = await find(pm2, MODULE)
  t.like(module, { status: 'online', restarts: 0 })
})

/** A worker with memory that grows by request: its own, or that of the segment. */
const program = (name: string, port: number): string => `
const { open } = require('cache-machine')
const cache = open({ name: '${name}', size: '256mb', near: false })
const kept = []
require('node:http').createServer((request, response) => {
  const mebibyte = Buffer.alloc(2 ** 20, 1)
  if (request.url === '/shared') for (let i = 0; i < 200; i++) cache.set('k' + i, mebibyte)
  if (request.url === '/own') for (let i = 0; i < 200; i++) kept.push(Buffer.alloc(2 ** 20, 1))
  response.setHeader('x-worker', process.pid).setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ resident: process.memoryUsage().rss }))
}).listen(${port}, '127.0.0.1')
`

test.serial('installed from a folder, it restarts a worker by private memory, and none by shared memory', async (t) => {
  t.timeout(240_000)
  const pm2 = startDaemon(t)
  const limit = 150 * 2 ** 20
  const cache = openCache(t, { size: '256mb' })
  const place = mkdtempSync(join(folder, 'app-'))
  const npm = ['install', MODULE, '--registry', registry.url]
  await promisify(execFile)('npm', npm, { cwd: place, env: cleanEnvironment(place) })
  const [port = 0] = await freePorts(1)
  writeFileSync(join(place, 'app.cjs'), program(cache.name, port))
  const app = { name: 'app', script: join(place, 'app.cjs'), instances: 1, exec_mode: 'cluster' }
  writeFileSync(join(place, 'ecosystem.config.cjs'), `module.exports = { apps: [${JSON.stringify(app)}] }`)
  await pm2.start(join(place, 'ecosystem.config.cjs'))
  await pm2.set(`${MODULE}:segments`, cache.name)
  await pm2.set(`${MODULE}:interval`, '500ms')
  await pm2.set(`${MODULE}:max_private_memory`, '150M')
  await pm2.install('.', join(place, 'node_modules', MODULE))
  await shows(pm2, 'the module runs', (metrics) => metrics[`${cache.name}: processes`])

  const client = new Client({ port })
  const worker = await eventually('the worker answers', () => client.get('/ready').catch(() => undefined), STARTED)
  const { body } = await client.get('/shared')
  t.true(Number(body['resident']) > limit, 'its resident memory is above the limit')
  const { size } = cache
  const { worker: still } = await client.get('/own')
  t.is(still, worker.worker, 'no restart before')
  const next = await eventually(
    'another worker answers',
    async () => {
      const answer = await client.get('/ready').catch(() => undefined)
      return answer !== undefined && answer.worker !== worker.worker ? answer : undefined
    },
    STARTED,
  )
  t.true(Number(next.body['resident']) < limit)
  t.is(cache.size, size, 'the cache is warm')
})
