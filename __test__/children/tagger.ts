/**
 * Sets tagged entries and invalidates their tag in turn, and checks after each invalidation that none of its earlier
 * entries is left.
 */
import { receive, send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Tagger extends SegmentInput {
  readonly me: number
  readonly rounds: number
}

const { cache, me, rounds } = openInput<Tagger, number>()
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
