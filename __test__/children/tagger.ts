/**
 * Sets tagged entries and invalidates their tag in turn, and checks after each invalidation that none of the entries that were
 * set before is left: neither its own nor those of others.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Tagger {
  readonly name: string
  readonly size: `${number}mb`
  readonly me: number
  readonly rounds: number
}

const { name, size, me, rounds } = input<Tagger>()
const cache = open<number>({ name, size, writeTimeout: '10s' })
const keys = Array.from({ length: 10 }, (_, i) => `${me}:${i}`)

receive(() => {
  let alive = 0
  for (let round = 0; round < rounds; round++) {
    for (const key of keys) cache.set(key, round, { tags: [`own ${me}`, 'common'] })
    cache.invalidateTags(`own ${me}`)
    alive += keys.filter((key) => cache.get(key) !== undefined).length
  }
  send(alive)
})
send('ready')
