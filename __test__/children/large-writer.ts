/**
 * Writes large values without end, so that a signal at a random moment most often arrives inside a write.
 */
import { open } from '../../index.ts'
import type { OpenOptions } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface LargeWriter {
  readonly options: OpenOptions
  readonly bytes: number
  readonly keys: readonly string[]
}

const { options, bytes, keys } = input<LargeWriter>()
const cache = open(options)
const values = [Buffer.alloc(bytes, 'a'), Buffer.alloc(bytes, 'b')]
let written = 0

process.on('disconnect', () => process.exit())
slice()
send('ready')

function slice(): void {
  for (let i = 0; i < 20; i++, written++) cache.set(keys[written % keys.length] ?? 'large', values[written % 2])
  setImmediate(slice)
}
