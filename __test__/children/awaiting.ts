/**
 * A script that awaits one call at its top level: nothing else keeps the process alive.
 *
 * `adds`: instead, that many rounds under one lock, each of which adds 1 to the entry `sum`.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises'
import { open } from '../../index.ts'
import type { OpenOptions, SharedCache } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface Awaiting {
  readonly options: OpenOptions
  readonly call: keyof typeof CALLS
  readonly ref?: boolean
  readonly adds?: number
}

interface Wait {
  readonly ref?: boolean
}

const CALLS = {
  waitFor: (cache: SharedCache, wait: Wait) => cache.waitFor('key', wait),
  'waitFor with a timeout': (cache: SharedCache, wait: Wait) => cache.waitFor('key', { ...wait, timeout: '1h' }),
  lock: (cache: SharedCache, wait: Wait) => cache.lock('held', wait),
  withLock: (cache: SharedCache, wait: Wait) => cache.withLock('held', () => 1, wait),
  acquire: (cache: SharedCache, wait: Wait) => cache.semaphore('held', 1).acquire(wait),
  use: (cache: SharedCache, wait: Wait) => cache.semaphore('held', 1).use(() => 1, wait),
  elect: (cache: SharedCache, wait: Wait) => cache.elect('held', wait),
  'take of a queue': (cache: SharedCache, wait: Wait) => cache.queue('held').take(wait),
  event: (cache: SharedCache, wait: Wait) => cache.event('held').wait(wait),
  barrier: (cache: SharedCache, wait: Wait) => cache.barrier('held', 2).wait(wait),
  condition: async (cache: SharedCache, wait: Wait) => cache.condition('held').wait(await cache.lock('free'), wait),
  once: (cache: SharedCache) => cache.once('held', () => 1),
  'next of watch': (cache: SharedCache, wait: Wait) => cache.watch({ key: 'key' }, wait).next(),
  'next of subscribe': (cache: SharedCache, wait: Wait) => cache.subscribe('channel', wait).next(),
}

const { options, call, ref, adds = 0 } = input<Awaiting>()
const cache = open({ ...options, writeTimeout: '10s' })
for (let i = 0; i < adds; i++) {
  await cache.withLock('sum', async () => {
    const sum = (cache.get('sum') as number | undefined) ?? 0
    await turnOfTheLoop()
    cache.set('sum', sum + 1)
  })
}
if (adds === 0) {
  const waiting = CALLS[call](cache, ref === undefined ? {} : { ref })
  send('waiting')
  await waiting
}
send('done')
