/**
 * Removal notices: collects `evict` and `expire`, and causes evictions.
 */
import type { ExecutionContext } from 'ava'
import type { GoneEvent, Key, SharedCache } from '../../index.ts'
import { eventually } from './eventually.ts'

export interface Told {
  readonly keys: Key[]
  lost: number
}

export function listen(cache: SharedCache, event: 'evict' | 'expire'): Told {
  const told: Told = { keys: [], lost: 0 }
  cache.on(event, ({ key, lost }: GoneEvent) => {
    if (key !== undefined) told.keys.push(key)
    told.lost += lost
  })
  return told
}

export const VALUE = 'x'.repeat(4000)

/** Writes more entries than there is room for. */
export function overfill(cache: SharedCache, count = 4000): string[] {
  const keys = Array.from({ length: count }, (_, i) => `k${i}`)
  for (const key of keys) cache.set(key, VALUE)
  return keys
}

/** Every removal was reported, by key or in a number. */
export async function allTold(t: ExecutionContext, told: Told, count: () => number): Promise<void> {
  await eventually('all was told', () => told.keys.length + told.lost >= count())
  t.is(told.keys.length + told.lost, count())
}
