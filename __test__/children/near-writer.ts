/**
 * Writes its keys, each in a namespace of its own, and records each write in the cache itself, until it is killed.
 * Sends `'ready'` before.
 *
 * A reader that reads the record and then the key knows which values are possible: `isPossible` in
 * `helpers/near-states.ts`.
 */
import { send } from '../helpers/port.ts'
import { keyName, saidName, write } from '../helpers/near-states.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface NearWriter extends SegmentInput {
  readonly slot: number
  readonly keys: number
}

const { cache, slot, keys } = openInput<NearWriter>({ near: false })
const spaces = Array.from({ length: keys }, (_, index) => cache.namespace(keyName(slot, index)))
process.on('disconnect', () => process.exit())
send('ready')
slice()

/** A few operations at a time, so that the end of the test is noticed. */
function slice(): void {
  for (let i = 0; i < 200; i++) step()
  setImmediate(slice)
}

function step(): void {
  const index = Math.floor(Math.random() * keys)
  const said = saidName(slot, index)
  // A predecessor that was killed may have done the next write without a record. Doing it again changes nothing.
  const number = ((cache.peek(said) as number | undefined) ?? 0) + 1
  write(spaces[index] as (typeof spaces)[0], keyName(slot, index), number)
  cache.set(said, number)
}
