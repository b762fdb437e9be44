/**
 * Locks, permits and leaderships by remote control: `[method, key, …]`, and an answer to each, in the order in which they come.
 *
 * A turn that was waited for is told with the moment, in milliseconds of the clock that all processes of a host share.
 */
import { open } from '../../index.ts'
import type { CacheError, Leadership, Lock, LockOptions, OpenOptions } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

/** What comes back of a turn. */
export interface Turn {
  readonly token?: number
  readonly at?: number
  readonly code?: string
}

type Order =
  | readonly ['lock' | 'tryLock', key: string, options?: LockOptions]
  | readonly ['acquire', key: string, permits: number, options?: LockOptions]
  | readonly ['elect' | 'release' | 'held', key: string]
  | readonly ['block', milliseconds: number]
  | readonly ['close']

const cache = open({ writeTimeout: '10s', ...input<OpenOptions>() })
const got = new Map<string, Lock | Leadership>()

receive<Order>((order) => {
  void run(order).then(send, (error: CacheError) => send({ code: error.code ?? String(error) }))
})
send('ready')

async function run(order: Order): Promise<unknown> {
  switch (order[0]) {
    case 'lock':
      return keep(order[1], await cache.lock(order[1], order[2]))
    case 'tryLock':
      return keep(order[1], cache.tryLock(order[1], order[2]))
    case 'acquire':
      return keep(order[1], await cache.semaphore(order[1], order[2]).acquire(order[3]))
    case 'elect':
      return keep(order[1], await cache.elect(order[1]))
    case 'release': {
      const held = got.get(order[1])
      return held !== undefined && ('resign' in held ? held.resign() : held.release())
    }
    case 'held': {
      const held = got.get(order[1])
      return held !== undefined && ('leads' in held ? held.leads : held.held)
    }
    case 'block':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, order[1])
      return 'awake'
    case 'close':
      cache.close()
      return 'closed'
  }
}

function keep(key: string, turn: Lock | Leadership | undefined): Turn {
  if (turn === undefined) return {}
  got.set(key, turn)
  return { token: turn.token, at: Number(process.hrtime.bigint()) / 1e6 }
}
