/**
 * Waits for a turn, or holds one, and lets the process end as it may: nothing else here keeps it alive.
 */
import { open } from '../../index.ts'
import type { CacheError, LockOptions, OpenOptions } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface LoneWaiter {
  readonly options: OpenOptions
  readonly key: string
  readonly wait: LockOptions
}

const { options, key, wait } = input<LoneWaiter>()
const cache = open(options)
cache.lock(key, wait).then(
  (lock) => send(lock.token),
  (error: CacheError) => send(error.code),
)
send('asked')
