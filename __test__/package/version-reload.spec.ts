/**
 * An update of the package under PM2: under load, `pm2 reload` replaces workers of one version by workers of the next,
 * one after the other; the next version has another segment layout. The same build shows what a panic in native code is
 * to its caller.
 */
import { execFile } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { open, segments } from '../../index.ts'
import { eventually } from '../helpers/eventually.ts'
import { problems, root } from '../helpers/internals.ts'
import { addonName, buildNextAddon, installPackage, layoutVersion, panicking } from '../helpers/next-layout.ts'
import { temporaryDirectory } from '../helpers/segment.ts'
import { testIf, works } from '../helpers/system.ts'

/** Types for the modules of `scripts/story`, which have none. */
interface Pm2 {
  start(file: string): Promise<string>
  reload(name: string): Promise<string>
  kill(): Promise<string>
  lastWords(): string
}

interface Scripts {
  Pm2: new (home: string) => Pm2
  createRun(): string
  endRun(home: string, places?: typeof segments): Promise<string[]>
}

const WORKERS = 3

/** The program of a worker: it writes entries that it reads again, and notes each turn and each failure. */
const APP = `
import { appendFileSync, writeFileSync } from 'node:fs'
import { open } from './dist/index.js'
const { VERSION_RUN: run, VERSION_NAME: name } = process.env
const version = new URL(import.meta.url).pathname.includes('/next/') ? 'next' : 'present'
const cache = open({ name, size: '8mb', writeTimeout: '10s' })
let turns = 0
const turn = () => {
  try {
    for (let i = 0; i < 50; i++) cache.set('worker ' + process.pid, turns)
    if (cache.get('worker ' + process.pid) !== turns) throw new Error('not what was written')
    const from = cache.get('version')
    if (from !== undefined && from !== version) throw new Error('a value of ' + from)
    cache.set('version', version)
    writeFileSync(run + '/worker-' + process.pid, JSON.stringify({ version, turns: ++turns }))
  } catch (error) {
    appendFileSync(run + '/errors', version + ': ' + error.stack + '\\n')
  }
}
turn()
setInterval(turn, 5)
process.on('SIGINT', () => {
  cache.close()
  process.exit(0)
})
process.send?.('ready')
`

/**
 * Calls with a key at which native code panics; the program prints the outcome of each call. Afterwards calls with any
 * other key work.
 */
const CALLS = `
import { open, segments } from './dist/index.js'
const [name, key] = process.argv.slice(2)
const cache = open({ name, size: '8mb', strict: true })
const load = () => 1
const limiter = cache.limiter('limit', { limit: 1, window: '1m' })
const calls = {
  get: () => cache.get(key),
  peek: () => cache.peek(key),
  has: () => cache.has(key),
  ttl: () => cache.ttl(key),
  getEntry: () => cache.getEntry(key),
  getMany: () => cache.getMany(['a', key]),
  hasMany: () => cache.hasMany(['a', key]),
  set: () => cache.set(key, 1),
  'set of bytes': () => cache.set(key, Buffer.alloc(100_000)),
  add: () => cache.add(key, 1),
  swap: () => cache.swap(key, 1),
  setMany: () => cache.setMany([[key, 1]]),
  incr: () => cache.incr(key),
  touch: () => cache.touch(key, '1h'),
  persist: () => cache.persist(key),
  take: () => cache.take(key),
  delete: () => cache.delete(key),
  deleteMany: () => cache.deleteMany(['a', key]),
  consume: () => limiter.consume(key),
  waitFor: () => cache.waitFor(key),
  tryLock: () => cache.tryLock(key),
  lock: () => cache.lock(key),
  semaphore: () => cache.semaphore(key, 1).acquire(),
  counts: () => cache.semaphore(key, 1).counts(),
  elect: () => cache.elect(key),
  once: () => cache.once(key, load),
  getOrSet: () => cache.getOrSet(key, load),
}
const said = {}
for (const [call, make] of Object.entries(calls)) {
  try {
    await make()
    said[call] = 'nothing'
  } catch (error) {
    said[call] = error.code ?? error.stack
  }
}
cache.set('other', 'well')
if (cache.get('other') !== 'well' || cache.size !== 1) throw new Error('it does not go on')
cache.close()
segments.destroy(name)
console.log(JSON.stringify(said))
`

const possible =
  process.platform === 'linux' && works('cargo', '--version') && existsSync(join(root, 'native', addonName))

testIf(possible).serial(
  'during a reload each version has its own segment and sees no value of the other version',
  async (t) => {
    t.timeout(600_000)
    const { Pm2, createRun, endRun } = await scripts()
    const home = createRun()
    const name = basename(home)
    const pm2 = new Pm2(home)
    const present = layoutVersion()
    const path = (version: number): string => pathOf(version, name)
    t.teardown(async () => {
      await pm2.kill()
      // No code of the present layout can destroy it.
      rmSync(path(present + 1), { force: true })
      const left = await endRun(home, segments)
      if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
    })
    const nextAddon = await buildNextAddon()
    const apps = join(home, 'apps')
    for (const [version, addon] of [
      ['present', join(root, 'native', addonName)],
      ['next', nextAddon],
    ] as const) {
      mkdirSync(join(apps, version, 'native'), { recursive: true })
      installPackage(join(apps, version), addon)
      writeFileSync(join(apps, version, 'app.js'), APP)
    }
    pointTo(home, 'present')
    writeFileSync(join(home, 'ecosystem.config.cjs'), ecosystem(home, name))
    try {
      await pm2.start(join(home, 'ecosystem.config.cjs'))
      await eventually('all workers of the present version work', () => countOf(home, 'present') === WORKERS)
      const mine = open({ name, size: '8mb' })
      t.teardown(() => mine.close())
      mine.set('from before', 'kept')
      t.true(existsSync(path(present)) && !existsSync(path(present + 1)))

      pointTo(home, 'next')
      const reload = pm2.reload('app')
      await eventually(
        'both versions work at once',
        () => countOf(home, 'next') > 0 && existsSync(path(present)),
        60_000,
      )
      t.is(mine.get('from before'), 'kept')
      await reload
      await eventually('all workers of the next version work', () => countOf(home, 'next') === WORKERS, 60_000)

      // No layout may be changed by the other one: this process has had the present segment open throughout.
      t.is(mine.get('from before'), 'kept')
      t.is(mine.get('version'), 'present')
      t.deepEqual(problems(mine), [])
      t.true(existsSync(path(present)) && existsSync(path(present + 1)))
      t.false(
        existsSync(join(home, 'errors')),
        existsSync(join(home, 'errors')) ? readFileSync(join(home, 'errors'), 'utf8') : '',
      )

      // When no process has the older segment open any more, the next process that opens the newer segment removes the
      // older one.
      mine.close()
      await pm2.reload('app')
      t.false(existsSync(path(present)))
      t.true(existsSync(path(present + 1)))
    } catch (error) {
      t.log(pm2.lastWords())
      throw error
    }
  },
)

testIf(possible).serial('a panic in native code is an error of its own call and of no other', async (t) => {
  t.timeout(600_000)
  const folder = temporaryDirectory(t)
  // No code of the present layout can destroy it.
  t.teardown(() => rmSync(pathOf(layoutVersion() + 1, basename(folder)), { force: true }))
  installPackage(folder, await buildNextAddon())
  writeFileSync(join(folder, 'app.js'), CALLS)
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, 'app.js'), basename(folder), panicking])
  const said = JSON.parse(stdout) as Record<string, string>
  t.true(Object.keys(said).length > 20)
  t.deepEqual(new Set(Object.values(said)), new Set(['ERR_SEGMENT_CORRUPT']), stdout)
})

function pathOf(version: number, name: string): string {
  return `/dev/shm/cache-machine.${version}.${process.geteuid?.()}.${name}`
}

async function scripts(): Promise<Scripts> {
  const folder = new URL('../../scripts/story/', import.meta.url)
  const [pm2, run] = await Promise.all(['pm2.mjs', 'run.mjs'].map((file) => import(new URL(file, folder).href)))
  return { ...pm2, ...run } as Scripts
}

/** As a deployment does it: replaces the link that the app is started from in one step. */
function pointTo(home: string, version: string): void {
  symlinkSync(join(home, 'apps', version), join(home, 'link'))
  renameSync(join(home, 'link'), join(home, 'current'))
}

function ecosystem(home: string, name: string): string {
  const app = {
    name: 'app',
    script: join(home, 'current', 'app.js'),
    exec_mode: 'cluster',
    instances: WORKERS,
    wait_ready: true,
    env: { VERSION_RUN: home, VERSION_NAME: name },
  }
  return `module.exports = ${JSON.stringify({ apps: [app] })}`
}

/** The number of workers of a version that have had several turns. */
function countOf(home: string, version: string): number {
  const notes = readdirSync(home).filter((file) => file.startsWith('worker-'))
  const seen = notes.map((file) => readFileSync(join(home, file), 'utf8')).filter((text) => text.endsWith('}'))
  return seen
    .map((text) => JSON.parse(text) as { version: string; turns: number })
    .filter((note) => note.version === version && note.turns > 3).length
}
