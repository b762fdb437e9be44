/**
 * What errors tell people: the key, shortened and escaped; a hint that names the fix; and for a timeout the caller.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { advance } from '../helpers/internals.ts'
import { openCache, openStopped } from '../helpers/segment.ts'

async function errorOf(call: () => unknown): Promise<CacheError> {
  try {
    await call()
  } catch (error) {
    if (error instanceof CacheError) return error
    throw error
  }
  throw new Error('no error was thrown')
}

type Failure = (cache: SharedCache, key: string) => unknown

const never = (): Promise<never> => new Promise(() => undefined)
const large = Buffer.alloc(200_000)

/** Calls that fail because of a key or its entry; the entry is a text. */
const FAILURES: Record<string, Failure> = {
  'incr of a text': (cache, key) => cache.incr(key),
  'incrBigInt of a text': (cache, key) => cache.incrBigInt(key),
  'append of bytes to a text': (cache, key) => cache.append(key, large),
  'incr beyond the range': (cache, key) => cache.set(key, Number.MAX_SAFE_INTEGER) && cache.incr(key),
  'set of a large value': (cache, key) => cache.set(key, large),
  'setMany of a large value': (cache, key) => cache.setMany([[key, large]]),
  'swap of a large value': (cache, key) => cache.swap(key, large),
  'set of a function': (cache, key) => cache.set(key, () => 1),
  'add of undefined': (cache, key) => cache.add(key, undefined),
  'swap of a symbol': (cache, key) => cache.swap(key, Symbol('s')),
  'update to undefined': (cache, key) => cache.update(key, () => undefined),
  'setMany of a function': (cache, key) => cache.setMany([[key, () => 1]]),
  'publish of a function': (cache, key) => cache.publish(key, () => 1),
  'publish of a large value': (cache, key) => cache.publish(key, large),
  waitFor: (cache, key) => cache.waitFor(`${key}!`, { timeout: 1 }),
  lock: (cache, key) => cache.tryLock(key) && cache.lock(key, { timeout: 1 }),
  withLock: (cache, key) => cache.tryLock(key) && cache.withLock(key, never, { timeout: 1 }),
  acquire: (cache, key) => cache.semaphore(key, 1).tryAcquire() && cache.semaphore(key, 1).acquire({ timeout: 1 }),
  elect: async (cache, key) => (await cache.elect(key)) && (await cache.elect(key, { timeout: 1 })),
  'getOrSet with a hardTimeout': (cache, key) => cache.getOrSet(`${key}!`, never, { hardTimeout: 1 }),
  'getOrSet with a lease': (cache, key) => cache.getOrSet(`${key}!`, never, { lease: 1 }),
  'extend of a lost lock': (cache, key) => {
    const lock = cache.tryLock(key, { ttl: 1000 })
    advance(cache, 1001)
    lock?.extend(1000)
  },
}

for (const [name, fail] of Object.entries(FAILURES)) {
  test(`the error of ${name} names the key`, async (t) => {
    const cache = openStopped(t, { maxEntrySize: '64kb' })
    cache.set('user:42', 'text')
    const error = await errorOf(() => fail(cache, 'user:42'))
    t.true(error.message.includes("'user:42"), error.message)
    t.true(error.stack?.includes(error.message), error.stack)
  })
}

test('a message shows a key in one line, shortened and with escapes', async (t) => {
  const cache = openCache(t)
  const shown: [key: string | Uint8Array, text: string][] = [
    ['a\nb\t\0', "'a\\u{a}b\\u{9}\\u{0}'"],
    ["it's\\", "'it\\'s\\\\'"],
    ['\u001B[31mred', "'\\u{1b}[31mred'"],
    ['\u202Egnp.exe', "'\\u{202e}gnp.exe'"],
    ['k'.repeat(500), `'${'k'.repeat(80)}…'`],
    [Buffer.from('the bytes of a text'), "'the bytes of a text'"],
    [Buffer.from('é'.repeat(500)), `'${'é'.repeat(80)}…'`],
    [Uint8Array.of(255, 0, 16), 'the bytes ff0010'],
    [new Uint8Array(100).fill(255), `the bytes ${'ff'.repeat(32)}…`],
  ]
  for (const [key, text] of shown) {
    cache.set(key, 'text')
    const { message } = await errorOf(() => cache.incr(key))
    t.is(message, `the entry of ${text} is not a number`)
  }
  const tooLong = await errorOf(() => cache.get('k'.repeat(9000)))
  t.true(tooLong.message.length < 200 && tooLong.message.endsWith("…'"), tooLong.message)
  const halved = await errorOf(() => cache.get('half \uD83D'))
  t.regex(halved.message, /got 'half \\u\{d83d\}'$/)
  t.regex(halved.hint, /toWellFormed/)
  t.regex((await errorOf(() => cache.get(5 as never))).message, /got 5$/)
})

test('the hint for a wrong argument says what to pass', async (t) => {
  const cache = openCache(t)
  const hints: [call: () => unknown, hint: string][] = [
    [() => cache.get(5 as never), 'Pass a string or a Uint8Array of at least 1 byte as a key.'],
    [() => cache.update('a', 5 as never), 'Pass a function to update.'],
    [
      () => cache.waitFor('a', { timeout: 'soon' as never }),
      "Pass milliseconds or a duration such as '30s' as timeout.",
    ],
    [() => cache.getOrSet('a', never, { jitter: 2 }), 'Pass a number from 0 to 1 as jitter.'],
    [() => cache.semaphore('s', 0), 'Pass a whole number from 1 to 1000 as permits.'],
    [() => cache.queue('q', { capacity: 0 }), 'Pass a whole number from 1 to 1000 as capacity.'],
    [() => cache.barrier('b', 0), 'Pass a whole number from 1 to 1000 as parties.'],
    [() => cache.incr('a', 1, { min: 2, max: 1 }), 'Change the argument: min must not be above max.'],
  ]
  for (const [call, hint] of hints) t.is((await errorOf(call)).hint, hint)
})

/** Calls that time out. Each is made by a function of its own, which the stack must show. */
const TIMEOUTS: Record<string, (cache: SharedCache) => Promise<unknown>> = {
  waitFor: (cache) => cache.waitFor('missing', { timeout: 1 }),
  lock: (cache) => cache.lock('held', { timeout: 1 }),
  withLock: (cache) => cache.withLock('held', never, { timeout: 1 }),
  acquire: (cache) => cache.semaphore('held', 1).acquire({ timeout: 1 }),
  use: (cache) => cache.semaphore('held', 1).use(never, { timeout: 1 }),
  elect: (cache) => cache.elect('held', { timeout: 1 }),
  'take of a queue': (cache) => cache.queue('q').take({ timeout: 1 }),
  'wait of an event': (cache) => cache.event('e').wait({ timeout: 1 }),
  'wait of a barrier': (cache) => cache.barrier('b', 2).wait({ timeout: 1 }),
  'getOrSet with a hardTimeout': (cache) => cache.getOrSet('missing', never, { hardTimeout: 1 }),
  'wrap with a hardTimeout': (cache) => cache.wrap(never, { key: () => 'missing', hardTimeout: 1 })(),
}

for (const [name, call] of Object.entries(TIMEOUTS)) {
  test(`the stack of a timeout of ${name} shows the caller, also if it does not await the call itself`, async (t) => {
    const cache = openCache(t)
    cache.tryLock('held')
    cache.semaphore('held', 1).tryAcquire()
    await cache.elect('held')
    function theCaller(): Promise<unknown> {
      return call(cache)
    }
    const outcome = theCaller().then(
      () => undefined,
      (reason: unknown) => reason as CacheError,
    )
    const error = await outcome
    t.is(error?.code, 'ERR_TIMEOUT')
    t.regex(error?.stack ?? '', /at theCaller /)
  })
}

test('the stack of an error of a lease shows the function that awaits the call', async (t) => {
  const cache = openCache(t)
  async function theCaller(): Promise<unknown> {
    return await cache.getOrSet('missing', never, { lease: 1 })
  }
  const [first, second] = await Promise.all([errorOf(theCaller), errorOf(() => theCaller())])
  for (const error of [first, second]) {
    t.is(error.code, 'ERR_TIMEOUT')
    t.regex(error.stack ?? '', /at async theCaller /)
  }
})

test("a full segment with eviction 'none' refuses incr and similar calls with a fitting hint", async (t) => {
  const cache = openCache(t, { size: '2mb', eviction: 'none' })
  for (let i = 0; cache.set(`key${i}`, Buffer.alloc(1000)); i++);
  for (let i = 0; cache.set(`key${i}`, 'x'.repeat(20)) && cache.set(`small${i}`, 1); i++);
  const calls: (() => unknown)[] = [
    () => cache.incr('new counter', 1),
    () => cache.incrBigInt('new counter', 1n),
    () => cache.update('new counter', () => 1),
    () => cache.append('new counter', 'x'),
    () => cache.swap('new counter', 1),
  ]
  for (const call of calls) {
    const error = await errorOf(call)
    t.is(error.code, 'ERR_NO_SPACE')
    t.true(error.message.includes("'new counter'"), error.message)
    t.regex(error.hint, /^Delete entries, give them a ttl, open a larger segment, or open it with another eviction/)
  }
})
