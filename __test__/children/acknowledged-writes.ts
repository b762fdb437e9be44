/**
 * Writes its own keys in order and acknowledges each write, until it is killed.
 *
 * A line of standard output is an acknowledgement. The system call itself writes it, so no acknowledgement is lost with
 * the process, and at most one write is done without one. Lines: `w <key index> <number>`, `c` for an increment of the
 * counter, `! <text>` for a wrong value.
 */
import { MAX_LENGTH, ownKey, stateAfter } from '../helpers/acknowledged.ts'
import { say } from '../helpers/say.ts'
import { describing, numberIn } from '../helpers/self-describing.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Writer extends SegmentInput {
  readonly slot: number
  /** The last acknowledged number of each key. */
  readonly numbers: number[]
  /** Keys that all writers write. */
  readonly shared: number
}

const { cache, slot, numbers, shared } = openInput<Writer>()
/** Large enough that many kills hit the copy, which happens inside the lock of a shard. */
const uniform = [Buffer.alloc(1_500_000, 'a'), Buffer.alloc(1_500_000, 'b')]
process.on('disconnect', () => process.exit())
slice()

function slice(): void {
  for (let i = 0; i < 50; i++) step()
  setImmediate(slice)
}

function step(): void {
  const index = random(numbers.length)
  const number = (numbers[index] ?? 0) + 1
  const key = ownKey(slot, index)
  const state = stateAfter(key, number)
  if (state === undefined) cache.delete(key)
  else cache.set(key, state)
  say(`w ${index} ${number}\n`)
  numbers[index] = number

  if (random(3) === 0) {
    cache.incr('counter')
    say('c\n')
  }
  const common = `common${random(shared)}`
  if (random(2) === 0) cache.set(common, describing(common, 1 + random(1_000_000), MAX_LENGTH))
  else check(common, random(8) === 0 ? cache.take(common) : cache.get(common))
  if (random(8) === 0) cache.touch(common, '1h')

  // A kill most often hits the call that takes longest.
  const large = `large${random(4)}`
  if (random(2) === 0) cache.set(large, uniform[random(2)])
  else checkUniform(large, cache.get(large))
}

function check(key: string, value: unknown): void {
  try {
    if (value !== undefined) numberIn(key, value, MAX_LENGTH)
  } catch (error) {
    say(`! ${(error as Error).message}\n`)
  }
}

function checkUniform(key: string, value: unknown): void {
  if (value !== undefined && !uniform.some((bytes) => bytes.equals(value as Buffer))) say(`! ${key} is a mix\n`)
}

function random(below: number): number {
  return Math.floor(Math.random() * below)
}
