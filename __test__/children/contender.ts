/**
 * Adds the same keys as everybody else, and says which it won.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Contender {
  readonly name: string
  readonly size: `${number}mb`
  readonly keys: number
}

const { name, size, keys } = input<Contender>()
const cache = open({ name, size, writeTimeout: '10s' })

receive(() => {
  const all = Array.from({ length: keys }, (_, index) => `key${index}`)
  send(all.filter((key) => cache.add(key, process.pid)))
})
send('ready')
