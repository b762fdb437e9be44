/**
 * Writes without end: sets, replaces, touches and deletes keys of its own, and replaces those that stay.
 */
import { open } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface Rewriter {
  readonly name: string
  readonly size: `${number}mb`
  readonly me: number
  /** Keys `kept:0` to `kept:<n>` are there and are to stay. */
  readonly kept: number
}

const { name, size, me, kept } = input<Rewriter>()
const cache = open<string>({ name, size, writeTimeout: '10s' })
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
