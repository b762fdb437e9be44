/**
 * Changes shared collections as fast as it can: takes items of the list `work`, or pushes numbers onto `pushed` and
 * acknowledges each, until it is killed.
 */
import { receive, send } from '../helpers/port.ts'
import { say } from '../helpers/say.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Collecting extends SegmentInput {
  readonly id: number
}

const { cache, id } = openInput<Collecting>()
const [work, hash, board, seen] = [
  cache.list<number>('work'),
  cache.hash('hash'),
  cache.sortedSet('board'),
  cache.setOf('seen'),
]
const pushed = cache.list<[number, number]>('pushed')

receive((message) => {
  if (message === 'take') take()
  else push(0)
})
send('ready')

function take(): void {
  const taken: number[] = []
  for (let item = work.shift(); item !== undefined; item = work.shift()) {
    taken.push(item)
    hash.incr('taken')
    board.incr(item % 10)
    seen.add(item % 10)
  }
  send(taken)
}

function push(from: number): void {
  for (let number = from; number < from + 20; number++) {
    pushed.push([id, number])
    say(`${number}\n`)
  }
  setImmediate(push, from + 20)
}
