/**
 * Reads and writes at random with values that prove themselves, and stops at the first wrong value.
 *
 * Sends `'ready'`, after all operations the number of values that it read, and then whatever the test asks it to read.
 * Runs as a process or as a worker thread.
 */
import type { SharedCache } from '../../index.ts'
import { receive, send } from '../helpers/port.ts'
import { describing, numberIn } from '../helpers/self-describing.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Load extends SegmentInput {
  readonly keys: number
  /** Undefined: until it is ended. */
  readonly operations?: number
}

/** What every reader must agree on: key, version, number. The version and number of a miss are 0. */
export type Picture = (readonly [key: string, version: number, number: number])[]

const { cache, keys, operations = Number.POSITIVE_INFINITY } = openInput<Load>()
const newest = new Map<string, number>()
let done = 0
let seen = 0

receive<'read'>(() => send(picture(cache, keys)))
send('ready')
slice()

/** A few operations at a time, so that messages are received. */
function slice(): void {
  for (let i = 0; i < 100 && done < operations; i++, done++) step()
  if (done < operations) setImmediate(slice)
  else send(seen)
}

function step(): void {
  const key = `k${random(keys)}`
  switch (random(10)) {
    case 0:
    case 1:
      cache.set(key, describing(key, 1 + random(1_000_000)))
      break
    case 2: {
      const taken = cache.take(key)
      if (taken !== undefined) numberIn(key, taken)
      break
    }
    case 3:
      cache.delete(key)
      break
    case 4: {
      const value = cache.get(key)
      if (value !== undefined) numberIn(key, value)
      break
    }
    default:
      read(key)
  }
}

function read(key: string): void {
  const entry = cache.getEntry(key)
  if (entry === undefined) return
  numberIn(key, entry.value)
  const before = newest.get(key) ?? 0
  if (entry.version < before) throw new Error(`${key} went back from version ${before} to ${entry.version}`)
  newest.set(key, entry.version)
  seen++
}

function picture(from: SharedCache, count: number): Picture {
  return Array.from({ length: count }, (_, index) => {
    const key = `k${index}`
    const entry = from.getEntry(key)
    return entry ? ([key, entry.version, numberIn(key, entry.value)] as const) : ([key, 0, 0] as const)
  })
}

function random(below: number): number {
  return Math.floor(Math.random() * below)
}
