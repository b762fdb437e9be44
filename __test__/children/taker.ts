/**
 * Takes the same keys as everybody else, and says which it got.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Taker {
  readonly name: string
  readonly size: `${number}mb`
  readonly keys: number
}

const { name, size, keys } = input<Taker>()
const cache = open({ name, size, writeTimeout: '10s' })

receive(() => {
  const all = Array.from({ length: keys }, (_, index) => `key${index}`)
  send(all.filter((key) => cache.take(key) !== undefined))
})
send('ready')
