/**
 * Writes without end: sets, replaces, touches and deletes its own keys, and replaces the keys that stay.
 */
import { send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Rewriter extends SegmentInput {
  readonly me: number
  /** The keys `kept:0` to `kept:<n>` exist and must stay. */
  readonly kept: number
}

const { cache, me, kept } = openInput<Rewriter, string>()
let writes = 0

process.on('disconnect', () => process.exit())
slice()
send('ready')

function slice(): void {
  for (let i = 0; i < 200; i++, writes++) write()
  setImmediate(slice)
}

function write(): void {
  const own = `other:${me}:${writes % 1000}`
  const stays = `kept:${(writes * 7919) % kept}`
  switch (writes % 5) {
    case 0:
    case 1:
      cache.set(own, 'x'.repeat(writes % 300))
      break
    case 2:
      cache.set(stays, 'x'.repeat(writes % 200))
      break
    case 3:
      cache.touch(stays, '1h')
      break
    default:
      cache.delete(`other:${me}:${(writes * 31) % 1000}`)
  }
}
