/**
 * Adds or takes the same keys as other processes at the same time, and reports the keys for which it succeeded.
 */
import { receive, send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Contender extends SegmentInput {
  readonly keys: number
  readonly method: 'add' | 'take'
}

const { cache, keys, method } = openInput<Contender>()

receive(() => {
  const all = Array.from({ length: keys }, (_, index) => `key${index}`)
  const succeeds = (key: string): boolean =>
    method === 'add' ? cache.add(key, process.pid) : cache.take(key) !== undefined
  send(all.filter(succeeds))
})
send('ready')
