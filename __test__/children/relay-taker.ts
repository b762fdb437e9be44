/**
 * Takes every value under one key, together with other takers, until it takes the end. Reports the numbers that it got.
 */
import { send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'

const { cache } = openInput()
const numbers: number[] = []

send('ready')
slice()

function slice(): void {
  for (let i = 0; i < 20; i++) {
    const taken = cache.take('relay')
    if (taken === 'end') return send(numbers)
    if (Buffer.isBuffer(taken)) numbers.push(taken.readUInt32LE(0))
    else if (taken !== undefined) numbers.push(taken as number)
  }
  setImmediate(slice)
}
