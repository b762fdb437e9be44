/**
 * Publishes the numbers from 1 on, and sets them, until it is killed or has done `count`. A line of standard output, written
 * by the system call itself, acknowledges each: the number and how many heard it.
 */
import { writeSync } from 'node:fs'
import { open } from '../../index.ts'
import { input } from '../helpers/port.ts'

export interface Publisher {
  readonly name: string
  readonly size: `${number}mb`
  readonly channel: string
  readonly count?: number
}

const { name, size, channel, count = Number.POSITIVE_INFINITY } = input<Publisher>()
const cache = open({ name, size, writeTimeout: '10s' })
process.on('disconnect', () => process.exit())
let number = 0
slice()

function slice(): void {
  for (let i = 0; i < 20 && number < count; i++) {
    number++
    cache.set(channel, number)
    const heard = cache.publish(channel, number)
    say(`${number} ${heard}\n`)
  }
  if (number < count) setImmediate(slice)
  else process.exit()
}

function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, line)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}
