/**
 * Locks, permits and leaderships by remote control: `[method, key, …]`, and an answer to each message, in the order of
 * completion.
 *
 * The answer to a granted request has the moment of the grant, in milliseconds of the clock that all processes of a
 * host share.
 */
import { open } from '../../index.ts'
import type { CacheError, Leadership, Lock, LockOptions, OpenOptions } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

/** The answer to a granted request. */
export interface Granted {
  readonly token?: number
  readonly at?: number
  readonly code?: string
}

type Order =
  | readonly ['lock' | 'tryLock', key: string, options?: LockOptions]
  | readonly ['acquire', key: string, permits: number, options?: LockOptions]
  | readonly ['elect' | 'release' | 'held', key: string]
  | readonly ['event' | 'notified' | 'takeItem', key: string]
  | readonly ['barrier', key: string, parties: number]
  | readonly ['block', until: string]
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
    case 'takeItem':
      return (await cache.queue(order[1], { attempts: 2 }).take()).value
    case 'event':
      await cache.event(order[1]).wait()
      return 'set'
    case 'notified':
      await cache.condition(order[1]).wait(await cache.lock(`${order[1]} of ${process.pid}`))
      return 'notified'
    case 'barrier':
      return cache.barrier(order[1], order[2]).wait()
    case 'release': {
      const held = got.get(order[1])
      return held !== undefined && ('resign' in held ? held.resign() : held.release())
    }
    case 'held': {
      const held = got.get(order[1])
      return held !== undefined && ('leads' in held ? held.leads : held.held)
    }
    case 'block': {
      const word = new Int32Array(new SharedArrayBuffer(4))
      cache.set('blocked', true)
      while (!cache.has(order[1])) Atomics.wait(word, 0, 0, 5)
      return 'awake'
    }
    case 'close':
      cache.close()
      return 'closed'
  }
}

function keep(key: string, held: Lock | Leadership | undefined): Granted {
  if (held === undefined) return {}
  got.set(key, held)
  return { token: held.token, at: Number(process.hrtime.bigint()) / 1e6 }
}
