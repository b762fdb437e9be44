/**
 * Takes whatever comes under one key, together with others, until it takes the end; says which numbers it got.
 */
import { open } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface RelayTaker {
  readonly name: string
  readonly size: `${number}mb`
}

const { name, size } = input<RelayTaker>()
const cache = open({ name, size, writeTimeout: '10s' })
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
