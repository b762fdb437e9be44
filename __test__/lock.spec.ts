/**
 * Locks within one process and over several: who gets its turn when, how a lock ends, and what is left of those who died.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { CacheError, segments } from '../index.ts'
import type { Lock, SharedCache } from '../index.ts'
import { advance, problems } from '../lib/testing.ts'
import type { Turn } from './children/turn-taker.ts'
import { eventually, within } from './helpers/eventually.ts'
import { fork } from './helpers/fork.ts'
import { SMALL, openCache, openStopped, segmentName } from './helpers/segment.ts'
import { isStopped } from './helpers/system.ts'
import { startThread } from './helpers/thread.ts'

/** A busy machine takes its time to start a process. */
const STARTED = 40_000

/** Resolves when somebody waits for a lock in the segment, as a permit shows whose record looks the same. */
async function queued(cache: SharedCache, wanted: number, name = 'a'): Promise<void> {
  await eventually('they wait', () => cache.semaphore(name, 1).counts().waiting === wanted)
}

test('one holds it, the next gets it by its release', async (t) => {
  const cache = openCache(t)
  const first = await cache.lock('a')
  t.true(first.held)
  t.is(first.key, 'a')
  t.is(first.expiresAt, undefined)
  t.is(cache.tryLock('a'), undefined)
  const waiting = within('the turn', cache.lock('a'))
  await turnOfTheLoop()
  t.true(first.held)
  t.true(first.release())
  t.false(first.held)
  const second = await waiting
  t.true(second.held)
  t.true(second.token > first.token)
  t.true(second.release())
  t.truthy(cache.tryLock('a')?.release())
  t.deepEqual(problems(cache), [])
})

test('release says whether it was held, and a second one does nothing', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('a')
  t.true(lock.release())
  const next = await cache.lock('a')
  t.false(lock.release())
  t.true(next.held, 'the second release did not take it from the next one')
  t.throws(() => lock.extend('1s'), { instanceOf: CacheError, code: 'ERR_LOCK_LOST' })
})

test('using and await using release it', async (t) => {
  const cache = openCache(t)
  {
    using lock = await cache.lock('a')
    t.true(lock.held)
  }
  {
    await using lock = await cache.lock('a')
    t.true(lock.held)
  }
  t.truthy(cache.tryLock('a'))
})

test('withLock releases whatever happens, and hands on what came of it', async (t) => {
  const cache = openCache(t)
  t.is(await cache.withLock('a', (lock) => lock.held && 'result'), 'result')
  await t.throwsAsync(
    cache.withLock('a', () => Promise.reject(new RangeError('no'))),
    { instanceOf: RangeError },
  )
  t.truthy(cache.tryLock('a')?.release())
  await t.throwsAsync(cache.withLock('a', 'work' as never), { code: 'ERR_INVALID_ARGUMENT' })
  const held = cache.tryLock('a')
  await t.throwsAsync(
    within(
      'the timeout',
      cache.withLock('a', () => t.fail(), { timeout: 10 }),
    ),
    { code: 'ERR_TIMEOUT' },
  )
  t.true(held?.release())
})

test('turns come in the order of asking, and tokens grow', async (t) => {
  const cache = openCache(t)
  const first = await cache.lock('a')
  const order: number[] = []
  let last = first.token
  const all = Array.from({ length: 100 }, async (_, i) => {
    const lock = await cache.lock('a')
    order.push(i)
    t.true(lock.token > last)
    last = lock.token
    if (i % 3 === 0) await turnOfTheLoop()
    lock.release()
  })
  first.release()
  await within('all turns', Promise.all(all))
  t.deepEqual(order, [...Array(100).keys()])
})

test('other keys, other namespaces, semaphores, elections and values have nothing to do with it', async (t) => {
  const cache = openCache(t)
  const root = await cache.lock('a')
  t.truthy(cache.tryLock('b'))
  t.truthy(cache.namespace('n').tryLock('a'))
  t.truthy(cache.semaphore('a', 1).tryAcquire())
  t.truthy(await within('the election', cache.elect('a')))
  t.true(cache.set('a', 'value'))
  t.is(cache.size, 1)
  cache.clear()
  t.is(cache.deletePrefix('a'), 0)
  t.true(root.held)
})

test('a string and its bytes are the same key, and keys may be any text', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('ключ')
  t.is(cache.tryLock(Buffer.from('ключ')), undefined)
  const waiting = within('the turn', cache.lock(Buffer.from('ключ')))
  lock.release()
  t.true((await waiting).held)
  t.is((await cache.lock('\uFFFD')).key, '\uFFFD')
  t.deepEqual((await cache.lock(Buffer.from([255, 1]))).key, Uint8Array.of(255, 1))
})

test('two handles of one process exclude each other', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const lock = await cache.lock('a')
  t.is(other.tryLock('a'), undefined)
  const waiting = within('the turn', other.lock('a'))
  await turnOfTheLoop()
  lock.release()
  const second = await waiting
  t.is(cache.tryLock('a'), undefined)
  other.close()
  t.false(second.held)
  t.truthy(cache.tryLock('a'), 'close released it')
})

test('whoever waits for what it holds itself waits until its timeout', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('a')
  await t.throwsAsync(within('the timeout', cache.lock('a', { timeout: 30 })), {
    instanceOf: CacheError,
    code: 'ERR_TIMEOUT',
  })
  t.true(lock.release())
})

test.serial('processes and threads exclude each other, and hand over to each other', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'turn-taker', { name, size: SMALL })
  const thread = startThread(t, 'turn-taker', { name, size: SMALL })
  await child.next(STARTED)
  await thread.next(STARTED)
  let { token: last = 0 } = await cache.lock('a').then((lock) => {
    setImmediate(() => lock.release())
    return lock
  })
  for (let i = 0; i < 20; i++) {
    for (const other of [child, thread]) {
      const { token = 0 } = await other.ask<Turn>(['lock', 'a'])
      t.true(token > last)
      t.is(cache.tryLock('a'), undefined)
      const waiting = within('the turn', cache.lock('a'))
      t.true(await other.ask(['release', 'a']))
      const lock = await waiting
      t.true(lock.token > token)
      t.deepEqual(await other.ask(['tryLock', 'a']), {})
      lock.release()
      last = lock.token
    }
  }
})

test('a lock ends with its ttl, and is extended from now on', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 1000 })
  t.true(Math.abs((lock.expiresAt ?? 0) - Date.now() - 1000) < 500)
  advance(cache, 900)
  lock.extend('1s')
  advance(cache, 999)
  t.true(lock.held)
  t.is(cache.tryLock('a'), undefined)
  advance(cache, 1)
  t.false(lock.held)
  t.throws(() => lock.extend(1000), { instanceOf: CacheError, code: 'ERR_LOCK_LOST' })
  const next = cache.tryLock('a', { ttl: '1h' })
  t.true((next?.token ?? 0) > lock.token)
  t.false(lock.release())
  t.true(next?.held)

  const unlimited = await cache.lock('b')
  unlimited.extend(500)
  advance(cache, 500)
  t.false(unlimited.held)
})

test('release of a lock whose time ran out says so, also if nobody has looked', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 100 })
  advance(cache, 100)
  t.false(lock.release())
})

test('who waits gets it when the time of its holder is up', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 1000 })
  const waiting = within('the turn', cache.lock('a', { ttl: 1000 }))
  await turnOfTheLoop()
  advance(cache, 1000)
  const next = await waiting
  t.false(lock.held)
  t.true(next.held)
})

test('the signal is aborted when the time is up, and not by release', async (t) => {
  const cache = openStopped(t)
  const lock = await cache.lock('a', { ttl: 20 })
  const lost = within('the signal', new Promise((resolve) => lock.signal.addEventListener('abort', resolve)))
  t.false(lock.signal.aborted)
  lock.extend(40)
  advance(cache, 39)
  t.true(lock.held)
  advance(cache, 1)
  await lost
  t.is((lock.signal.reason as CacheError).code, 'ERR_LOCK_LOST')

  const released = await cache.lock('a', { ttl: 5 })
  const { signal } = released
  released.release()
  advance(cache, 5)
  t.false(signal.aborted)

  const unseen = await cache.lock('b', { ttl: 5 })
  advance(cache, 5)
  t.false(unseen.held)
  t.true(unseen.signal.aborted, 'asked for after the loss')
})

test('timeout and abort end a wait, and the next one gets its turn all the same', async (t) => {
  const cache = openCache(t)
  const lock = await cache.lock('a')
  const controller = new AbortController()
  const reason = new RangeError('changed my mind')
  const given = [
    cache.lock('a', { timeout: 20 }),
    cache.lock('a', { signal: controller.signal }),
    cache.lock('a', { timeout: 0 }),
    cache.lock('a', { ttl: '1h', timeout: 30 }), // another ttl: its place is not the next one's
  ] as const
  const last = within('the turn', cache.lock('a'))
  const aborted = t.throwsAsync(given[1], { is: reason })
  controller.abort(reason)
  await aborted
  for (const i of [0, 2, 3] as const) {
    await t.throwsAsync(within('the timeout', given[i]), { instanceOf: CacheError, code: 'ERR_TIMEOUT' })
  }
  t.true(lock.release())
  t.true((await last).held)
  controller.abort()
  await t.throwsAsync(cache.lock('b', { signal: AbortSignal.abort(reason) }), { is: reason })
  t.truthy(cache.tryLock('b'), 'an aborted signal takes nothing')
})

test('an abort after the turn changes nothing', async (t) => {
  const cache = openCache(t)
  const controller = new AbortController()
  const lock = await cache.lock('a', { signal: controller.signal })
  controller.abort()
  await turnOfTheLoop()
  t.true(lock.held)
})

test.serial('whoever moves up inherits the place of one who gave up', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'turn-taker', { name, size: SMALL })
  await child.next(STARTED)
  const lock = await cache.lock('a')
  const controller = new AbortController()
  const first = t.throwsAsync(cache.lock('a', { signal: controller.signal }), { any: true })
  const second = within('the turn', cache.lock('a'))
  child.send(['lock', 'a'])
  t.false(await child.ask(['held', 'a']), 'it was asked before, and has not got it')
  controller.abort()
  await first
  lock.release()
  const moved = await second
  t.true(moved.held)
  moved.release()
  t.true(((await child.next<Turn>()).token ?? 0) > moved.token)
})

test('close rejects who waits and releases what is held', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  const lock = await cache.lock('a')
  const own = await cache.namespace('n').lock('a')
  const { signal } = lock
  const theirs = await other.lock('b')
  const pending = [cache.lock('b'), cache.lock('b', { ref: true }), cache.namespace('n').lock('a')]
  const rejected = Promise.all(
    pending.map((turn) => t.throwsAsync(turn, { instanceOf: CacheError, code: 'ERR_CLOSED' })),
  )
  cache.close()
  await rejected
  t.false(lock.held)
  t.false(own.held)
  t.false(lock.release())
  t.is((signal.reason as CacheError).code, 'ERR_CLOSED')
  t.throws(() => lock.extend('1s'), { code: 'ERR_CLOSED' })
  await t.throwsAsync(cache.lock('a'), { code: 'ERR_CLOSED' })
  t.throws(() => cache.tryLock('a'), { code: 'ERR_CLOSED' })
  t.throws(() => cache.semaphore('a', 1), { code: 'ERR_CLOSED' })

  t.truthy(other.tryLock('a'))
  t.truthy(other.namespace('n').tryLock('a'))
  theirs.release()
  t.truthy(other.tryLock('b'), 'nobody waits for it any more')
})

test('when the segment is destroyed locks are lost, and who waits starts over in the new one', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const other = openCache(t, { name })
  for (let i = 0; i < 5; i++) cache.tryLock('a')?.release()
  const [lock] = [await cache.lock('a'), await cache.lock('b')]
  const told = within('the signal', new Promise((resolve) => lock.signal.addEventListener('abort', resolve)))
  const waiting = [cache.lock('a'), cache.lock('a'), other.lock('a'), other.lock('b')].map((turn) =>
    within('the turn', turn),
  )
  t.true(lock.held)
  segments.destroy(name, { force: true })
  t.false(lock.held)
  t.throws(() => lock.extend('1s'), { code: 'ERR_LOCK_LOST' })
  t.false(lock.release())
  await told
  const turns = waiting.map(async (turn) => {
    const { token, release } = await turn.then((held) => ({ token: held.token, release: () => held.release() }))
    t.true(release())
    return token
  })
  t.is(new Set(await Promise.all(turns)).size >= 3, true)
  t.truthy(cache.tryLock('a'))
  t.deepEqual(problems(cache), [])
})

test('a call that finds the segment gone opens it anew, whoever waits there', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const lock = await cache.lock('a')
  const waiting = within('the turn', cache.lock('a'))
  segments.destroy(name, { force: true })
  t.truthy(cache.tryLock('b'))
  t.false(lock.held)
  t.true((await waiting).held)
})

test('wrong options and keys reject', async (t) => {
  const cache = openCache(t)
  const wrong: [options: unknown, code: string][] = [
    [null, 'ERR_INVALID_ARGUMENT'],
    ['5s', 'ERR_INVALID_ARGUMENT'],
    [{ ttl: 0 }, 'ERR_INVALID_TTL'],
    [{ ttl: -1 }, 'ERR_INVALID_TTL'],
    [{ ttl: Infinity }, 'ERR_INVALID_TTL'],
    [{ ttl: 'soon' }, 'ERR_INVALID_TTL'],
    [{ timeout: -1 }, 'ERR_INVALID_ARGUMENT'],
    [{ timeout: null }, 'ERR_INVALID_ARGUMENT'],
    [{ signal: {} }, 'ERR_INVALID_ARGUMENT'],
    [{ ref: 1 }, 'ERR_INVALID_ARGUMENT'],
  ]
  for (const [options, code] of wrong) {
    await t.throwsAsync(cache.lock('a', options as never), { instanceOf: CacheError, code }, JSON.stringify(options))
  }
  for (const key of ['', '\uD800', 5, undefined, new Uint8Array()]) {
    await t.throwsAsync(cache.lock(key as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => cache.tryLock(key as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  await t.throwsAsync(cache.lock('x'.repeat(8193)), { instanceOf: CacheError, code: 'ERR_KEY_TOO_LONG' })
  t.throws(() => cache.tryLock('a', { ttl: 0 }), { instanceOf: CacheError, code: 'ERR_INVALID_TTL' })
  const lock = cache.tryLock('a')
  t.throws(() => lock?.extend(0), { instanceOf: CacheError, code: 'ERR_INVALID_TTL' })
  t.true(lock?.release(), 'a wrong ttl loses nothing')
})

// `TAKEOVERS=200` for more.
test.serial('a killed holder is succeeded by who waits, and tokens grow over its death', async (t) => {
  t.timeout(600_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const times: number[] = []
  let last = 0
  for (let i = 0; i < Number(process.env['TAKEOVERS'] ?? 5); i++) {
    const child = fork(t, 'turn-taker', { name, size: SMALL })
    await child.next(STARTED)
    const { token = 0 } = await child.ask<Turn>(['lock', 'a'])
    t.true(token > last)
    const waiting = within('the turn', cache.lock('a'))
    await turnOfTheLoop()
    const killed = performance.now()
    child.kill()
    const lock = await waiting
    times.push(performance.now() - killed)
    t.true(lock.token > token)
    last = lock.token
    lock.release()
  }
  times.sort((a, b) => a - b)
  const [median, longest] = [times[times.length >> 1], times.at(-1)].map((time) => time?.toFixed(1))
  t.log(`from ${times.length} kills to the next holder: median ${median} ms, longest ${longest} ms`)
  t.deepEqual(problems(cache), [])
})

test.serial('tryLock takes it from a dead holder', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'turn-taker', { name, size: SMALL })
  await child.next(STARTED)
  await child.ask(['lock', 'a'])
  t.is(cache.tryLock('a'), undefined)
  child.kill()
  await child.exit
  t.truthy(cache.tryLock('a'))
})

test.serial('a turn passes over waiters that were killed', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const lock = await cache.lock('a')
  const children = [fork(t, 'turn-taker', { name, size: SMALL }), fork(t, 'turn-taker', { name, size: SMALL })]
  for (const child of children) {
    await child.next(STARTED)
    child.send(['lock', 'a'])
    t.false(await child.ask(['held', 'a']))
  }
  const last = within('the turn', cache.lock('a'))
  for (const child of children) {
    child.kill()
    await child.exit
  }
  lock.release()
  t.true((await last).held)
})

test.serial('a waiter that is stopped when its turn comes has it for its ttl, and then the next one', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'turn-taker', { name, size: SMALL })
  await child.next(STARTED)
  const lock = await cache.lock('a')
  child.send(['lock', 'a', { ttl: 150 }])
  t.false(await child.ask(['held', 'a']))
  child.kill('SIGSTOP')
  await isStopped(child.process.pid)
  const waiting = within('the turn', cache.lock('a'))
  const released = performance.now()
  lock.release()
  const next = await waiting
  t.true(performance.now() - released >= 150, 'it was the turn of the stopped one')
  // When it goes on, its turn has come and gone: it starts over.
  child.kill('SIGCONT')
  t.false(await child.ask(['held', 'a']))
  next.release()
  t.true(((await child.next<Turn>()).token ?? 0) > next.token)
})

test.serial('a turn that came and went while the event loop was blocked comes again', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'turn-taker', { name, size: SMALL })
  await child.next(STARTED)
  const lock = await cache.lock('a')
  child.send(['lock', 'a', { ttl: 60 }])
  child.send(['block', 400])
  await eventually('it waits', () => cache.tryLock('a') === undefined)
  lock.release()
  const next = await within('the turn', cache.lock('a'))
  t.true(next.held)
  t.is(await child.next(), 'awake')
  next.release()
  t.true(((await child.next<Turn>()).token ?? 0) > next.token)
})

test.serial('a worker thread that is terminated leaves its lock and its place in the queue', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const holder = startThread(t, 'turn-taker', { name, size: SMALL })
  const waiter = startThread(t, 'turn-taker', { name, size: SMALL })
  await holder.next(STARTED)
  await waiter.next(STARTED)
  await holder.ask(['lock', 'a'])
  waiter.worker.postMessage(['lock', 'a'])
  t.false(await waiter.ask(['held', 'a']))
  const waiting = within('the turn', cache.lock('a'))
  await waiter.worker.terminate()
  t.is(cache.tryLock('a'), undefined, 'the holder has it still')
  await holder.worker.terminate()
  const lock = await waiting
  t.true(lock.held)
  lock.release()
  t.truthy(cache.tryLock('a'), 'nobody is left in the queue')
})

test.serial('neither a wait nor a held lock keeps the process alive, a wait with ref does', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const lock = await cache.lock('a')
  const options = { name, size: SMALL }
  const waiter = fork(t, 'lone-waiter', { options, key: 'a', wait: { timeout: '1h' } })
  t.is(await waiter.next(STARTED), 'asked')
  t.deepEqual(await within('the exit', waiter.exit), { code: 0, signal: null })

  const holder = fork(t, 'lone-waiter', { options, key: 'b', wait: { ttl: '1h' } })
  t.is(await holder.next(STARTED), 'asked')
  t.is(typeof (await holder.next()), 'number')
  t.deepEqual(await within('the exit', holder.exit), { code: 0, signal: null })
  t.truthy(cache.tryLock('b'))

  const patient = fork(t, 'lone-waiter', { options, key: 'a', wait: { ref: true } })
  t.is(await patient.next(STARTED), 'asked')
  await eventually('it waits', async () => {
    lock.release()
    const again = cache.tryLock('a')
    again?.release()
    return again === undefined
  })
  t.is(typeof (await patient.next()), 'number')
  t.deepEqual(await within('the exit', patient.exit), { code: 0, signal: null })
})

test('a thousand wait in one thread, and have one place in the segment', async (t) => {
  const cache = openCache(t)
  const semaphore = cache.semaphore('a', 1)
  const first = await semaphore.acquire()
  const waiting = Array.from({ length: 1000 }, () => semaphore.acquire())
  await queued(cache, 1)
  first.release()
  let last = first.token
  for (const turn of waiting) {
    const permit: Lock = await within('the turn', turn)
    t.true(permit.token > last)
    last = permit.token
    permit.release()
  }
  t.deepEqual(semaphore.counts(), { held: 0, waiting: 0 })
})
