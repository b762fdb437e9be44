/**
 * Waits for a key and lets the process end as it may: nothing else here keeps it alive.
 */
import { open } from '../../index.ts'
import type { CacheError, OpenOptions, WaitOptions } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface Waiter {
  readonly options: OpenOptions
  readonly key: string
  readonly wait: WaitOptions
}

const { options, key, wait } = input<Waiter>()
const cache = open(options)
cache.waitFor(key, wait).then(
  (entry) => send(entry.value),
  (error: CacheError) => send(error.code),
)
send('waiting')
