/**
 * The locks of the contenders: how long a process needs to acquire and release one, and to take one over from another
 * process.
 *
 * Times are readings of a clock that is the same in all processes of the host.
 */
import { now } from '../measure.mjs'

/** Longer than any run; Redlock requires a lifetime. */
const TTL_MS = 60_000
const KEY = 'lock'

/** By contender. `acquire` resolves with a function that releases the lock. */
const makers = {
  'cache-machine-off': async ({ name }) => {
    const { open } = await import('../../dist/index.js')
    const cache = open({ name })
    return {
      acquire: async () => {
        const lock = await cache.lock(KEY)
        return () => lock.release()
      },
      close: () => cache.close(),
    }
  },
  ioredis: async ({ name, socket }) => {
    const [{ default: Redlock }, { Redis }] = await Promise.all([import('redlock'), import('ioredis')])
    const client = new Redis({ path: socket, enableReadyCheck: false })
    // Redlock polls: here as often as its timers allow; its default is every 200 ms.
    const redlock = new Redlock([client], { retryCount: -1, retryDelay: 1, retryJitter: 0 })
    return {
      acquire: async () => {
        const lock = await redlock.acquire([`${name}:${KEY}`], TTL_MS)
        return () => lock.release()
      },
      close: () => client.disconnect(),
    }
  },
}

/** The ids of the contenders that have a lock. */
export const entrants = Object.keys(makers)

/** Must run once, after `open`. The lock is closed with the store. */
export async function openLock(memory, { name, socket }) {
  const lock = await makers[memory.contender.id]({ name, socket })
  const { close } = memory.store
  memory.lock = lock
  memory.store.close = async () => {
    await lock.close()
    await close()
  }
}

/** Acquires and releases the lock `count` times. @returns {Promise<number>} milliseconds for one cycle */
export async function takeAndRelease({ lock }, { count }) {
  const start = now()
  for (let i = 0; i < count; i++) await (await lock.acquire())()
  return (now() - start) / count
}

export async function takeLock(memory) {
  memory.release = await memory.lock.acquire()
}

/** Starts to wait for the lock; `gotLock` awaits the end of the wait. */
export function startWaiting(memory) {
  memory.waiting = memory.lock.acquire().then((release) => ({ release, at: now() }))
}

/** @returns {Promise<number>} the time just before the release */
export async function releaseLock(memory) {
  const at = now()
  await memory.release()
  return at
}

/** @returns {Promise<number>} the time at which the process got the lock */
export async function gotLock(memory) {
  const { release, at } = await memory.waiting
  memory.release = release
  return at
}
