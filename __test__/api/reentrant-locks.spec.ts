/**
 * `withLock` with `reentrant: true`: work under a lock asks for the same lock again.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import test from 'ava'
import { within } from '../helpers/eventually.ts'
import { openCache } from '../helpers/segment.ts'

const AGAIN = { reentrant: true } as const

test('work under a reentrant lock gets the same lock again, at any depth and after any await', async (t) => {
  const cache = openCache(t)
  const nest = async (depth: number): Promise<number[]> =>
    cache.withLock(
      'account',
      async (lock) => {
        await turnOfTheLoop()
        t.is(cache.tryLock('account'), undefined)
        return [lock.token, ...(depth === 0 ? [] : await nest(depth - 1))]
      },
      AGAIN,
    )
  const tokens = await within('the work', nest(5))
  t.is(tokens.length, 6)
  t.is(new Set(tokens).size, 1)
  t.truthy(cache.tryLock('account'))
})

test('inner work does not release the lock, also if it fails', async (t) => {
  const cache = openCache(t)
  await cache.withLock(
    'k',
    async (lock) => {
      await cache.withLock('k', () => 1, AGAIN)
      t.true(lock.held)
      const failing = cache.withLock('k', () => Promise.reject(new Error('inner')), AGAIN)
      await t.throwsAsync(failing, { message: 'inner' })
      t.true(lock.held)
    },
    AGAIN,
  )
  t.truthy(cache.tryLock('k'))
})

test('work beside the holder waits, reentrant or not', async (t) => {
  const cache = openCache(t)
  let isHeld = false
  const alone = async (): Promise<void> => {
    t.false(isHeld)
    isHeld = true
    await turnOfTheLoop()
    isHeld = false
  }
  const calls = Array.from({ length: 20 }, async (_, i) => cache.withLock('k', alone, { reentrant: i % 2 === 0 }))
  await within('all calls', Promise.all(calls))
  t.false(isHeld)
})

test('only a reentrant call inside a reentrant call of the same key shares the lock', async (t) => {
  const cache = openCache(t)
  const soon = { timeout: 5 } as const
  const busy = { code: 'ERR_TIMEOUT' } as const
  const nothing = (): void => undefined
  await cache.withLock('k', () => t.throwsAsync(cache.withLock('k', nothing, { ...AGAIN, ...soon }), busy))
  await cache.withLock('k', () => t.throwsAsync(cache.withLock('k', nothing, soon), busy), AGAIN)
  await cache.withLock('k', () => t.throwsAsync(cache.lock('k', soon), busy), AGAIN)
  const namespace = cache.namespace('n')
  await cache.withLock(
    'k',
    (lock) =>
      cache.withLock(
        'other',
        (other) => {
          t.not(other.token, lock.token)
          return namespace.withLock('k', (third) => t.not(third, lock), AGAIN)
        },
        AGAIN,
      ),
    AGAIN,
  )
})

test('work that outlives the outer call acquires the lock anew', async (t) => {
  const cache = openCache(t)
  let goOn: () => void = () => undefined
  let late: Promise<number> = Promise.resolve(0)
  const first = await cache.withLock(
    'k',
    (lock) => {
      late = new Promise<void>((resolve) => (goOn = resolve)).then(() =>
        cache.withLock('k', (again) => (t.is(cache.tryLock('k'), undefined), again.token), AGAIN),
      )
      return lock.token
    },
    AGAIN,
  )
  goOn()
  t.true((await within('the late work', late)) > first)
  t.truthy(cache.tryLock('k'))
})

test('reentrant takes true or false', async (t) => {
  const cache = openCache(t)
  const work = (): void => t.fail('it must not run')
  await t.throwsAsync(cache.withLock('k', work, { reentrant: 1 as never }), { code: 'ERR_INVALID_ARGUMENT' })
  await t.throwsAsync(cache.withLock('k', 5 as never, AGAIN), { code: 'ERR_INVALID_ARGUMENT' })
  t.is(await cache.withLock('k', () => 'done', { reentrant: undefined }), 'done')
})
