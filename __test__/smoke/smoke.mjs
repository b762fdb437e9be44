/**
 * The smoke suite: each part of the package once, in plain JavaScript, for runtimes and platforms on which AVA cannot
 * run.
 *
 *   node __test__/smoke/smoke.mjs [module]
 *
 * `module`: the path or the name of the package; dist/ of this repository by default. Prints one line for each step,
 * then `N passed, N failed`.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const [from = new URL('../../dist/index.js', import.meta.url).href] = process.argv.slice(2)
const { CacheError, open, openRegion, regions, segments } = await import(from)
const name = `smoke-${process.pid}`
const key = 'smoke'
const child = fileURLToPath(new URL('child.mjs', import.meta.url))

/** Waits are bounded by this, in milliseconds. It is generous: an emulated processor takes seconds to start a child. */
const patience = 60_000

let cache
const steps = {
  'open creates a segment': () => {
    cache = open({ name, size: '4mb', near: false })
    assert.ok(segments.list().some((segment) => segment.name === name))
  },
  'set and get return equal values': () => {
    const values = ['text', 'ä€😀', 1.5, -0, 10n ** 30n, true, null, [1, [2]], { a: { b: 'c' } }, new Date(5)]
    values.push(new Map([['k', new Set([1])]]), Buffer.from('bytes'), new Uint16Array([1, 2]), new RangeError('no'))
    for (const value of values) {
      cache.set(key, value)
      assert.deepEqual(cache.get(key), value)
    }
    assert.equal(cache.get('absent'), undefined)
  },
  'delete, add, replace and take': () => {
    assert.equal(cache.delete(key), true)
    assert.equal(cache.replace(key, 1), false)
    assert.equal(cache.add(key, 1), true)
    assert.equal(cache.add(key, 2), false)
    assert.equal(cache.take(key), 1)
    assert.equal(cache.has(key), false)
  },
  'incr counts': () => {
    for (let i = 1; i <= 100; i++) assert.equal(cache.incr('count'), i)
  },
  'a lifetime is counted from now': () => {
    cache.set(key, 'short', '1h')
    const ttl = cache.ttl(key)
    assert.ok(ttl > 3_500_000 && ttl <= 3_600_000, `${ttl}`)
    cache.set(key, 'gone', 1)
    return until(() => cache.get(key) === undefined)
  },
  'tags and namespaces': () => {
    const part = cache.namespace('part')
    part.set('a', 1, { tags: ['red'] })
    part.set('b', 2, { tags: ['blue'] })
    cache.set('a', 3)
    part.invalidateTags(['red'])
    assert.deepEqual([part.get('a'), part.get('b'), cache.get('a')], [undefined, 2, 3])
    assert.deepEqual([...part.keys()], ['b'])
  },
  'getOrSet loads once': async () => {
    let loads = 0
    const load = async () => ++loads
    const all = await Promise.all(Array.from({ length: 10 }, () => cache.getOrSet('loaded', load)))
    assert.deepEqual(all, Array(10).fill(1))
  },
  'waitFor resolves in the same process': async () => {
    const waiting = cache.waitFor('soon', { timeout: patience })
    cache.set('soon', 'now')
    assert.equal((await waiting)?.value, 'now')
  },
  'waitFor resolves across processes': async () => {
    const other = start('answer')
    await other.ready
    cache.set('question', 20)
    assert.equal((await cache.waitFor('answer', { timeout: patience }))?.value, 21)
    assert.equal(await other.ended, 0)
  },
  'watch reports a change': async () => {
    const changes = cache.watch({ key: 'watched' })
    const next = changes.next()
    cache.set('watched', 1)
    assert.equal((await next).value.key, 'watched')
    await changes.return()
  },
  'publish reaches a subscriber': async () => {
    const messages = cache.subscribe('news')
    const next = messages.next()
    cache.publish('news', { headline: 1 })
    assert.deepEqual((await next).value.message, { headline: 1 })
    await messages.return()
  },
  'a lock excludes': async () => {
    const lock = await cache.lock('job', { timeout: patience })
    assert.equal(cache.tryLock('job'), undefined)
    lock.release()
    assert.equal(await cache.withLock('job', () => 'done'), 'done')
  },
  'a lock passes on when its holder is killed': async () => {
    const holder = start('hold')
    await holder.ready
    assert.equal(cache.tryLock('held'), undefined)
    const next = cache.lock('held', { timeout: patience })
    holder.process.kill('SIGKILL')
    ;(await next).release()
    await holder.ended
  },
  'a killed writer blocks no write': async () => {
    const writer = start('write')
    await writer.ready
    writer.process.kill('SIGKILL')
    await writer.ended
    for (let i = 0; i < 1_000; i++) cache.set(`written ${i % 50}`, i)
    assert.equal(cache.get('written 49'), 999)
  },
  'the near cache follows a change': () => {
    const near = open({ name })
    near.set('near', { n: 1 })
    for (let i = 0; i < 100; i++) assert.deepEqual(near.get('near'), { n: 1 })
    cache.set('near', { n: 2 })
    assert.deepEqual(near.get('near'), { n: 2 })
    near.close()
  },
  'a limiter limits': () => {
    const limiter = cache.limiter('calls', { limit: 2, window: '1h' })
    assert.deepEqual(
      [1, 2, 3].map(() => limiter.consume('me').allowed),
      [true, true, false],
    )
  },
  'a region holds bytes': () => {
    const region = cache.region('bytes', 4096)
    const other = openRegion({ cache: name, name: 'bytes', size: 4096 })
    new Uint8Array(region.buffer)[7] = 42
    assert.equal(new Uint8Array(other.buffer)[7], 42)
    for (const handle of [region, other]) handle.close()
    regions.destroy(name, 'bytes')
  },
  'stats count': () => {
    const { entries, hits } = cache.stats()
    assert.ok(entries > 0 && hits > 0)
  },
  'an error has a code and a hint': () => {
    const thrown = errorOf(() => cache.set('x', () => 1))
    assert.ok(thrown instanceof CacheError)
    assert.match(thrown.code, /^ERR_/)
    assert.ok(thrown.hint.length > 0)
  },
  'close and destroy leave nothing': () => {
    cache.close()
    assert.equal(errorOf(() => cache.get(key))?.code, 'ERR_CLOSED')
    segments.destroy(name)
    assert.ok(!segments.list().some((segment) => segment.name === name))
  },
}

let failed = 0
for (const [title, run] of Object.entries(steps)) {
  try {
    await run()
    console.log(`ok      ${title}`)
  } catch (error) {
    failed++
    console.log(`not ok  ${title}\n${error.stack}`)
  }
}
if (failed > 0) removeEverything()
console.log(`${Object.keys(steps).length - failed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** Starts a process that does one part; `ready` resolves once it said so, `ended` with its exit code. */
function start(part) {
  const flags = 'Deno' in globalThis ? ['run', '-A'] : []
  const started = spawn(process.execPath, [...flags, child, from, name, part], { stdio: ['ignore', 'pipe', 'inherit'] })
  return {
    process: started,
    ready: once(started.stdout, 'data'),
    ended: once(started, 'exit').then(([code]) => code),
  }
}

async function until(holds) {
  const end = Date.now() + patience
  while (!holds()) {
    assert.ok(Date.now() < end, 'in vain')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

function errorOf(run) {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

function removeEverything() {
  for (const remove of [
    () => cache.close(),
    () => segments.destroy(name, { force: true }),
    () => regions.destroy(name, 'bytes', { force: true }),
  ]) {
    try {
      remove()
    } catch {
      // A failed step may have left nothing to remove.
    }
  }
}
