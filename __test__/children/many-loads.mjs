/**
 * Loads the built package many times in one process, in one of several ways, and uses each load. It leaves every second
 * cache open, holds a lock in the last load, and ends by itself.
 *
 * Plain JavaScript: a loader of TypeScript would transform each module of each load.
 */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'

const { name, size, way, loads } = isMainThread ? JSON.parse(process.argv.at(-1)) : workerData
const require = createRequire(import.meta.url)
const entry = fileURLToPath(new URL('../../dist/index.cjs', import.meta.url))

const ways = {
  /** The addon itself, without the package. */
  dlopen: () => {
    const addons = Array.from({ length: loads }, loadAddon)
    const opened = addons.map((addon) => {
      const { id } = addon.open(nativeOptions)
      return { addon, id, calls: addon.rawCalls(id) }
    })
    for (const [i, { calls }] of opened.entries()) calls.set(`key${i}`, i, NUMBER)
    for (const { calls } of opened) {
      for (const i of opened.keys()) if (calls.get(`key${i}`) !== i) throw new Error(`key${i}`)
    }
    // Each load has memory of its own, and a closed handle takes nothing from another load.
    const memories = new Set(opened.flatMap(({ calls }) => [calls.meta, calls.scratch, calls.view()]))
    if (memories.size !== 3 * loads) throw new Error('loads share their memory')
    for (const { addon, id } of opened.slice(0, -1)) addon.close(id)
    const { calls } = opened.at(-1)
    if (calls.get('key0') !== 0 || calls.view().byteLength === 0) throw new Error('the last load')
    return loads
  },

  /** A test runner or a development server that empties the cache of modules. */
  cache: () => repeat(loadAnew),

  /** Two bundles, each of which has its own copy of the package and loads the addon itself. */
  addons: () =>
    repeat(() => {
      loadAddon()
      return loadAnew()
    }),

  /** A test runner with a context and a registry of modules for each file. */
  contexts: () => repeat(loadInContext),

  threads: async () => {
    const threads = Array.from({ length: 4 }, () => {
      const worker = new Worker(new URL(import.meta.url), { workerData: { name, size, way: 'cache', loads } })
      return { worker, count: once(worker, 'message'), end: new Promise((resolve) => worker.on('exit', resolve)) }
    })
    const counts = await Promise.all(threads.map(async ({ count }) => (await count)[0]))
    // Half of them end by force, while their caches are open.
    for (const { worker } of threads.slice(2)) void worker.terminate()
    await Promise.all(threads.map(({ end }) => end))
    return counts.reduce((sum, count) => sum + count, 0)
  },
}

/** By `Kind`. */
const NUMBER = 2

const nativeOptions = {
  name,
  size: 8 << 20,
  eviction: 's3-fifo',
  lockMemory: false,
  writeTimeout: 10_000,
  manualClock: false,
}

function loadAddon() {
  const { glibcVersionRuntime } = process.report.getReport().header
  const target = `${process.platform}-${process.arch}-${glibcVersionRuntime === undefined ? 'musl' : 'gnu'}`
  const module = { exports: {} }
  process.dlopen(module, fileURLToPath(new URL(`../../native/cache-machine.${target}.node`, import.meta.url)))
  return module.exports
}

function loadAnew() {
  for (const path of Object.keys(require.cache)) delete require.cache[path]
  return require(entry)
}

/** Uses each load; returns the number of different classes. */
async function repeat(load) {
  const classes = new Set()
  for (let i = 0; i < loads; i++) {
    const { CacheError, SharedCache, open } = load()
    classes.add(SharedCache)
    const cache = open({ name, size })
    const key = `${process.pid} ${Math.random()}`
    const waiting = cache.waitFor(key)
    cache.set(key, { load: i }, '1h')
    const { value } = await waiting
    if (value.load !== i) throw new Error(`load ${i} waited for ${JSON.stringify(value)}`)
    const loaded = await cache.getOrSet(`${key} loaded`, () => i)
    if (loaded !== i || cache.get(`${key} loaded`) !== i) throw new Error(`load ${i} loaded ${loaded}`)
    try {
      cache.incr(key)
      throw new Error('incr of an object')
    } catch (error) {
      if (!(error instanceof CacheError) || error.code !== 'ERR_NOT_A_NUMBER') throw error
    }
    try {
      open({ name, directory: '/nonexistent' })
      throw new Error('open in no directory')
    } catch (error) {
      // The native side throws it as an error of the main context.
      if (!(error instanceof CacheError)) throw error
    }
    const bytes = Buffer.from(`${key}\xff`, 'latin1')
    cache.set(bytes, bytes)
    if (cache.get(bytes).compare(bytes) !== 0 || !cache.delete(bytes)) throw new Error('bytes')
    if (i === loads - 1) await cache.lock(`held ${key}`)
    if (i % 2 === 0) cache.close()
  }
  return classes.size
}

/** Runs the modules of the package in a new context, with a registry of its own. */
function loadInContext() {
  const globals = { process, performance, Buffer, setTimeout, clearTimeout, setInterval, clearInterval, queueMicrotask }
  const context = createContext(globals)
  const registry = new Map()
  const load = (path) => {
    const known = registry.get(path)
    if (known !== undefined) return known.exports
    const module = { exports: {} }
    registry.set(path, module)
    const outer = createRequire(path)
    const inner = (wanted) => {
      const found = outer.resolve(wanted)
      return found.endsWith('.cjs') ? load(found) : outer(found)
    }
    const wrapper = `(function (exports, require, module, __filename, __dirname) {${readFileSync(path, 'utf8')}\n})`
    runInContext(wrapper, context, { filename: path })(module.exports, inner, module, path, dirname(path))
    return module.exports
  }
  return load(entry)
}

const count = await ways[way]()
if (isMainThread) {
  process.send(count)
  process.disconnect()
} else {
  parentPort.postMessage(count)
}
