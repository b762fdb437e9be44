/**
 * Counts up one counter as fast as it can.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Counting {
  readonly name: string
  readonly size: `${number}mb`
  readonly times: number
}

const { name, size, times } = input<Counting>()
const cache = open({ name, size, writeTimeout: '10s' })

receive(() => {
  for (let i = 0; i < times; i++) cache.incr('counter')
  send('done')
})
send('ready')
