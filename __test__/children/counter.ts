/**
 * Increments one counter as fast as it can.
 */
import { receive, send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Counting extends SegmentInput {
  readonly times: number
}

const { cache, times } = openInput<Counting>()

receive(() => {
  for (let i = 0; i < times; i++) cache.incr('counter')
  send('done')
})
send('ready')
