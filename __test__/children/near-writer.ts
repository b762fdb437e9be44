/**
 * Writes its keys, each in a namespace of its own, and says so in the cache itself after each write, until it is killed. Sends
 * `'ready'` before.
 *
 * So whoever reads what was said, and then the key, knows what must be there: `stateOf` in `helpers/near-states.ts`.
 */
import { open } from '../../index.ts'
import { input, send } from '../helpers/port.ts'
import { keyName, saidName, write } from '../helpers/near-states.ts'

export interface NearWriter {
  readonly name: string
  readonly size: `${number}mb`
  readonly slot: number
  readonly keys: number
}

const { name, size, slot, keys } = input<NearWriter>()
const cache = open({ name, size, writeTimeout: '10s', near: false })
const spaces = Array.from({ length: keys }, (_, index) => cache.namespace(keyName(slot, index)))
process.on('disconnect', () => process.exit())
send('ready')
slice()

/** A little at a time, so that the end of the test gets through. */
function slice(): void {
  for (let i = 0; i < 200; i++) step()
  setImmediate(slice)
}

function step(): void {
  const index = Math.floor(Math.random() * keys)
  const said = saidName(slot, index)
  // A predecessor that was killed may have done the next write and not said it. Doing it again changes nothing.
  const number = ((cache.peek(said) as number | undefined) ?? 0) + 1
  write(spaces[index] as (typeof spaces)[0], keyName(slot, index), number)
  cache.set(said, number)
}
