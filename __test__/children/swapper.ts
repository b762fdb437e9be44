/**
 * Changes one value many times, each time on condition that no other process has changed it meanwhile.
 */
import { receive, send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Swapper extends SegmentInput {
  readonly times: number
}

const { cache, times } = openInput<Swapper, { length: number }>()

receive(() => {
  let refused = 0
  for (let i = 0; i < times;) {
    const entry = cache.getEntry('list')
    if (!entry) throw new Error('the value is gone')
    const changed = { length: entry.value.length + 1 }
    if (cache.set('list', changed, { if: { version: entry.version } })) i++
    else refused++
  }
  send(refused)
})
send('ready')
