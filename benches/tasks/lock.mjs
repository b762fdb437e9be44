/**
 * A lock of each contender that has one: how long it takes to get and give back, and to get from another process.
 *
 * Times are of the clock that is the same in all processes of a host.
 */
import { now } from '../measure.mjs'

/** Longer than any run; Redlock's locks have to have one. */
const TTL_MS = 60_000
const KEY = 'lock'

/** By contender. `acquire` resolves with what releases. */
const makers = {
  'cache-machine-off': async ({ name }) => {
    const { open } = await import('../../dist/index.js')
    const cache = open({ name })
    return {
      acquire: async () => {
        const lock = await cache.lock(KEY, { ref: true })
        return () => lock.release()
      },
      close: () => cache.close(),
    }
  },
  ioredis: async ({ name, socket }) => {
    const [{ default: Redlock }, { Redis }] = await Promise.all([import('redlock'), import('ioredis')])
    const client = new Redis({ path: socket, enableReadyCheck: false })
    // Redlock asks again and again: as often as its timers allow, where the default is every 200 ms.
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

/** The contenders that have a lock. */
export const entrants = Object.keys(makers)

/** To be asked once, after `open`; ends with the store. */
export async function openLock(memory, { name, socket }) {
  const lock = await makers[memory.contender.id]({ name, socket })
  const { close } = memory.store
  memory.lock = lock
  memory.store.close = async () => {
    await lock.close()
    await close()
  }
}

/** Gets the lock and gives it back, `count` times. @returns {number} milliseconds for one time */
export async function takeAndRelease({ lock }, { count }) {
  const start = now()
  for (let i = 0; i < count; i++) await (await lock.acquire())()
  return (now() - start) / count
}

export async function takeLock(memory) {
  memory.release = await memory.lock.acquire()
}

/** Begins to wait; `gotLock` tells of the end. */
export function startWaiting(memory) {
  memory.waiting = memory.lock.acquire().then((release) => ({ release, at: now() }))
}

/** @returns {number} the moment before the release */
export async function releaseLock(memory) {
  const at = now()
  await memory.release()
  return at
}

/** @returns {number} the moment at which it was got */
export async function gotLock(memory) {
  const { release, at } = await memory.waiting
  memory.release = release
  return at
}
