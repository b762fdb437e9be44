/**
 * Publishes the numbers from 1 on, and sets them, until it is killed or has done `count`. The system call itself writes
 * a line of standard output for each: the number and how many subscriptions got it.
 */
import { say } from '../helpers/say.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Publisher extends SegmentInput {
  readonly channel: string
  readonly count?: number
}

const { cache, channel, count = Number.POSITIVE_INFINITY } = openInput<Publisher>()
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
