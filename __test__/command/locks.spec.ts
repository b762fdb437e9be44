/**
 * `locks`: which processes hold and await what.
 */
import test from 'ava'
import { heldIn } from '../helpers/internals.ts'
import { json, run } from '../helpers/command-line.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { SMALL, openCache } from '../helpers/segment.ts'

interface Held {
  readonly kind: string
  readonly key: unknown
  readonly holders: readonly { pid: number; remaining: number | null }[]
  readonly waiters: readonly number[]
}

test.serial('locks shows holders and waiters of locks, semaphores and leaderships', async (t) => {
  const cache = openCache(t)
  t.like(await run(t, ['locks', cache.name]), { out: 'Nothing is held.\n', code: 0 })
  const lock = await cache.lock('invoice:1', { ttl: '1h' })
  const permits = [await cache.semaphore('renders', 2).acquire(), await cache.semaphore('renders', 2).acquire()]
  const leadership = await cache.elect('cron')
  const other = fork(t, 'operations', { name: cache.name, size: SMALL })
  await other.next()
  other.send(['lock', 'invoice:1'])
  await eventually('the other process waits', () => heldIn(cache)[0]?.waiters.length === 1)

  const held = await json<Held[]>(t, ['locks', cache.name])
  t.deepEqual(
    held.map(({ kind, key, waiters }) => [kind, key, waiters]),
    [
      ['lock', 'invoice:1', [other.process.pid]],
      ['semaphore', 'renders', []],
      ['leadership', 'cron', []],
    ],
  )
  t.deepEqual(
    held.map(({ holders }) => holders.map(({ pid }) => pid)),
    [[process.pid], [process.pid, process.pid], [process.pid]],
  )
  const remaining = held[0]?.holders[0]?.remaining ?? 0
  t.true(remaining > 3_000_000 && remaining <= 3_600_000)
  t.is(held[2]?.holders[0]?.remaining, null)
  const { out } = await run(t, ['locks', cache.name])
  t.regex(out, new RegExp(`^lock +invoice:1 +${process.pid} +(1h|59m \\d+s) +${other.process.pid}$`, 'm'))
  t.regex(
    (await run(t, ['top', cache.name, '--count', '1', '--interval', '50ms'])).out,
    /^leadership +cron +\d+ +- +-$/m,
  )
  t.deepEqual(await json(t, ['locks', cache.name, '-n', cache.namespace('sub').namespaceName]), [] as never)

  // A dead waiter and a released lock are left out.
  other.kill()
  await other.exit
  await eventually('the dead waiter is gone', () => heldIn(cache)[0]?.waiters.length === 0)
  lock.release()
  for (const permit of permits) permit.release()
  leadership.resign()
  t.deepEqual(heldIn(cache), [])
  t.deepEqual(await json(t, ['locks', cache.name]), [] as never)
})

test('both engines tell the same about what is held', async (t) => {
  for (const engine of ['native', 'portable'] as const) {
    const cache = openCache(t, { engine })
    const lock = await cache.lock(Buffer.from([255]), { ttl: '1h' })
    const waiting = cache.lock(Buffer.from([255]), { timeout: '20s' })
    await eventually('it waits', () => heldIn(cache)[0]?.waiters.length === 1)
    const [held] = heldIn(cache)
    t.like(held, { kind: 'lock', waiters: [process.pid] })
    t.deepEqual(Buffer.from(held?.key as Uint8Array), Buffer.from([255]))
    t.is(held?.holders[0]?.pid, process.pid)
    t.true((held?.holders[0]?.remaining ?? 0) <= 3_600_000)
    lock.release()
    ;(await waiting).release()
    t.deepEqual(heldIn(cache), [])
  }
})
