/**
 * Writes its own keys in order and says so after each write, until it is killed.
 *
 * A line of standard output is an acknowledgement; it is written by the system call itself, so nothing said is lost with
 * the process, and at most one write is done and not said. Lines: `w <key index> <number>`, `c` for one more in the counter,
 * `! <text>` for a wrong value.
 */
import { writeSync } from 'node:fs'
import { open } from '../../index.ts'
import { LONGEST, ownKey, stateAfter } from '../helpers/acknowledged.ts'
import { input } from '../helpers/port.ts'
import { describing, numberIn } from '../helpers/self-describing.ts'

export interface Writer {
  readonly name: string
  readonly size: `${number}mb`
  readonly slot: number
  /** By key: the number acknowledged last. */
  readonly numbers: number[]
  /** Keys that all writers write. */
  readonly shared: number
}

const { name, size, slot, numbers, shared } = input<Writer>()
const cache = open({ name, size, writeTimeout: '10s' })
const uniform = [Buffer.alloc(500_000, 'a'), Buffer.alloc(500_000, 'b')]
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
  say(`w ${index} ${number}`)
  numbers[index] = number

  if (random(3) === 0) {
    cache.incr('counter')
    say('c')
  }
  const common = `common${random(shared)}`
  if (random(2) === 0) cache.set(common, describing(common, 1 + random(1_000_000), LONGEST))
  else check(common, random(8) === 0 ? cache.take(common) : cache.get(common))
  if (random(8) === 0) cache.touch(common, '1h')

  // What takes long is where a kill hits most often.
  const large = `large${random(4)}`
  if (random(2) === 0) cache.set(large, uniform[random(2)])
  else checkUniform(large, cache.get(large))
}

function check(key: string, value: unknown): void {
  try {
    if (value !== undefined) numberIn(key, value, LONGEST)
  } catch (error) {
    say(`! ${(error as Error).message}`)
  }
}

function checkUniform(key: string, value: unknown): void {
  if (value !== undefined && !uniform.some((bytes) => bytes.equals(value as Buffer))) say(`! ${key} is a mix`)
}

function say(line: string): void {
  for (const bytes = Buffer.from(`${line}\n`); ;) {
    try {
      writeSync(1, bytes)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}

function random(below: number): number {
  return Math.floor(Math.random() * below)
}
