/**
 * What `bench` measures: calls of one process on a segment of its own, and the same on a Redis server.
 *
 * Each case runs in slices, so that a bar can be drawn and Ctrl+C ends it, and checks that it read what it had written.
 */
import type { Milliseconds } from '../../arguments/units.ts'
import type { InspectedCache } from '../command.ts'
import type { RedisServer } from './redis.ts'

export interface Case {
  readonly subject: 'cache-machine' | 'Redis'
  readonly operation: string
  /** Makes a number of calls. */
  readonly run: (calls: number) => Promise<void> | void
}

export interface Result {
  readonly subject: string
  readonly operation: string
  readonly callsPerSecond: number
}

const KEYS = 1000
const KEY_NAMES = Array.from({ length: KEYS }, (_, i) => `user:${i}`)
const TEXT = 'x'.repeat(100)
const OBJECT = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`field${i}`, `value ${i} ${'y'.repeat(30)}`]))
/** Calls in flight, for the pipelined case. */
const IN_FLIGHT = 100

export function casesOf(cache: InspectedCache): Case[] {
  let i = 0
  const nextKey = (): string => KEY_NAMES[i++ % KEYS] as string
  const synchronous = (operation: string, call: (key: string) => void): Case => ({
    subject: 'cache-machine',
    operation,
    run: (calls) => {
      for (let n = 0; n < calls; n++) call(nextKey())
    },
  })
  const expect = (isRight: boolean): void => {
    if (!isRight) throw new Error('the cache returned a wrong value')
  }
  return [
    synchronous('set, 100 bytes', (key) => cache.set(key, TEXT)),
    synchronous('get, 100 bytes', (key) => expect(cache.get(key) === TEXT)),
    synchronous('set, object of 1 KiB', (key) => cache.set(key, OBJECT)),
    synchronous('get, object of 1 KiB', (key) =>
      expect((cache.get(key) as typeof OBJECT)['field3'] === OBJECT['field3']),
    ),
    {
      subject: 'cache-machine',
      operation: 'getOrSet, hit',
      run: async (calls) => {
        for (let n = 0; n < calls; n++) expect((await cache.getOrSet(nextKey(), () => OBJECT)) !== undefined)
      },
    },
    synchronous('incr', () => cache.incr('counter')),
  ]
}

export function redisCases(redis: RedisServer): Case[] {
  let i = 0
  const nextKey = (): string => KEY_NAMES[i++ % KEYS] as string
  const one = (operation: string, call: (key: string) => Promise<unknown>): Case => ({
    subject: 'Redis',
    operation,
    run: async (calls) => {
      for (let n = 0; n < calls; n++) await call(nextKey())
    },
  })
  const expect = (reply: Buffer | null): Buffer => {
    if (reply === null) throw new Error('Redis returned no value')
    return reply
  }
  return [
    one('set, 100 bytes', (key) => redis.call('SET', key, TEXT)),
    one('get, 100 bytes', async (key) => expect(await redis.call('GET', key))),
    {
      subject: 'Redis',
      operation: `get, 100 bytes, ${IN_FLIGHT} in flight`,
      run: async (calls) => {
        for (let n = 0; n < calls; n += IN_FLIGHT) {
          const replies = await Promise.all(Array.from({ length: IN_FLIGHT }, () => redis.call('GET', nextKey())))
          replies.forEach(expect)
        }
      },
    },
    one('set, object of 1 KiB', (key) => redis.call('SET', key, JSON.stringify(OBJECT))),
    one('get, object of 1 KiB', async (key) => JSON.parse(expect(await redis.call('GET', key)).toString())),
    one('incr', () => redis.call('INCR', 'counter')),
  ]
}

/** Measures for this time. `tick` is called about every 50 ms; false ends the case. */
export async function measure(
  { subject, operation, run }: Case,
  time: Milliseconds,
  tick: (elapsed: Milliseconds) => boolean,
): Promise<Result> {
  // Warm: the first calls compile the code, and write the keys that others read.
  await run(2 * KEYS)
  let [calls, slice] = [0, 100]
  const begun = performance.now()
  for (;;) {
    const before = performance.now()
    await run(slice)
    calls += slice
    const now = performance.now()
    if (now - before < 25) slice *= 2
    if (now - begun >= time || !tick(now - begun))
      return { subject, operation, callsPerSecond: calls / ((now - begun) / 1000) }
  }
}
