/** `locks`: held locks, semaphores and leaderships, with their holders and waiters, and the waiters of gates. */
import { openSegment } from '../command.ts'
import type { Command } from '../command.ts'
import { NAMESPACE, SEGMENT } from '../grammar.ts'
import { duration, shownKey } from '../output.ts'
import { toKeyForm } from '../values.ts'
import type { Held } from '../../segment/holders.ts'

export const locks: Command = {
  name: 'locks',
  summary: 'show held locks, semaphores and leaderships, with holders and waiters',
  about: [
    'Shows what cache.lock, cache.semaphore and cache.elect hold now, by the numbers of the processes, and which processes ' +
      'wait for it. Waiters of cache.event, cache.barrier and cache.condition, which no process holds, are shown as well. ' +
      'Dead processes are left out. Nothing is locked, and nothing changes.',
    'ENDS is the time until a permit with a ttl is lost; without one it ends with its process. Limits of rates, waits for ' +
      'entries and loads of getOrSet are not shown.',
  ],
  parameters: [SEGMENT],
  options: { namespace: NAMESPACE },
  examples: [
    ['cache-machine locks app', 'which process holds what'],
    ['cache-machine locks app -n jobs', 'those of a namespace, which has its own'],
  ],
  json: 'an array of "kind" (lock, semaphore, leadership, event, barrier, condition), "key", "holders" ("pid" and "remaining" in milliseconds, null: no end) and "waiters" (process numbers, in order)',
  run(call, world) {
    using opened = openSegment(call, world)
    const held = world.heldIn(opened.cache)
    if (call.flag('json')) world.out.json(held.map(heldForm))
    else if (held.length === 0) world.out.line('Nothing is held.')
    else world.out.table(HEAD, held.map(rowOf))
    return 0
  },
}

export const HEAD = ['KIND', 'KEY', 'HELD BY', 'ENDS', 'WAITING']

export function heldForm({ key, holders, ...rest }: Held): object {
  const ends = holders.map(({ pid, remaining }) => ({ pid, remaining: remaining === Infinity ? null : remaining }))
  return { ...rest, key: toKeyForm(key), holders: ends }
}

export function rowOf({ kind, key, holders, waiters }: Held): string[] {
  const end = Math.min(...holders.map(({ remaining }) => remaining))
  const pids = holders.map(({ pid }) => pid).join(' ')
  return [kind, shownKey(key), pids || '-', end === Infinity ? '-' : duration(end), waiters.join(' ') || '-']
}
