/**
 * Collects what a cache publishes on its diagnostics channels.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ExecutionContext } from 'ava'
import type { CacheMessage, channels } from './internals.ts'

export type Told = [channel: string, message: CacheMessage][]

/** Collects the messages of one segment until the test ends or `stop` is called. */
export function listen(
  t: ExecutionContext,
  name: string,
  ...names: (keyof typeof channels)[]
): Told & { stop(): void } {
  const told: Told = []
  const hear = (message: unknown, channelName: string | symbol): void => {
    // Other tests of this file publish as well.
    if ((message as CacheMessage).name !== name) return
    told.push([String(channelName).replace('cache-machine:', ''), message as CacheMessage])
  }
  const all = names.map((each) => `cache-machine:${each}`)
  for (const each of all) subscribe(each, hear)
  const stop = (): void => all.forEach((each) => unsubscribe(each, hear))
  t.teardown(stop)
  return Object.assign(told, { stop })
}
