/**
 * Reads, writes and holds a lock while others resize the segment. Sends `'ready'`, and `Seen` when it is asked to end.
 */
import { receive, send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Bystander extends SegmentInput {
  /** It is the only writer of the key `own ${slot}`. */
  readonly slot: number
  /** Keys `key ${i}` with the value `value ${i}`, which no process changes. */
  readonly keys: number
}

export interface Seen {
  readonly rounds: number
  /** The first values that were wrong. */
  readonly wrong: readonly string[]
  readonly resized: number
  readonly detached: number
  /** Whether the lock was held all the time. */
  readonly held: boolean
  /** Messages that came, in order, and changes of its own key that a watch lost. */
  readonly messages: readonly unknown[]
}

const { cache, slot, keys } = openInput<Bystander>()
const lock = await cache.lock(`lock ${slot}`)
const wrong: string[] = []
const messages: unknown[] = []
let [rounds, resized, detached, isOver] = [0, 0, 0, false]
cache.on('resized', () => resized++)
cache.on('detached', () => detached++)
void follow()

receive<'end'>(() => (isOver = true))
send('ready')
turn()

async function follow(): Promise<void> {
  for await (const { message, lost } of cache.subscribe('channel')) {
    messages.push(message)
    if (lost > 0) wrong.push(`${lost} messages were lost`)
  }
}

function turn(): void {
  for (let i = rounds % 17; i < keys; i += 17) {
    const value = cache.get(`key ${i}`)
    if (value !== `value ${i}`) wrong.push(`key ${i} is ${String(value)} in round ${rounds}`)
  }
  cache.set(`own ${slot}`, ++rounds)
  if (cache.get(`own ${slot}`) !== rounds)
    wrong.push(`own ${slot} is ${String(cache.get(`own ${slot}`))}, not ${rounds}`)
  if (!isOver) setImmediate(turn)
  else {
    // The message that was sent last has a turn to arrive.
    setTimeout(() => {
      send({ rounds, wrong: wrong.slice(0, 5), resized, detached, held: lock.held, messages } satisfies Seen)
      process.exit()
    }, 200)
  }
}
