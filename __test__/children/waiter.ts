/**
 * Waits for a key, or for a lock and then holds it, and lets the process end as it may: nothing else keeps it alive.
 */
import { open } from '../../index.ts'
import type { CacheError, LockOptions, OpenOptions, WaitOptions } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface Waiter {
  readonly options: OpenOptions
  readonly key: string
  /** Wait for an entry, with these options. */
  readonly wait?: WaitOptions
  /** Wait for a lock, with these options. */
  readonly lock?: LockOptions
}

const { options, key, wait, lock } = input<Waiter>()
const cache = open(options)
const waiting: Promise<unknown> =
  lock === undefined
    ? cache.waitFor(key, wait).then((entry) => entry.value)
    : cache.lock(key, lock).then(({ token }) => token)
waiting.then(send, (error: CacheError) => send(error.code))
send('waiting')
