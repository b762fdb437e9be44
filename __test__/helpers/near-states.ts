/**
 * What the writers of `children/near-writer.ts` leave under a key, write by write: values of several kinds, and each
 * way in which an entry can end.
 */
import { isDeepStrictEqual } from 'node:util'
import type { SharedCache } from '../../index.ts'

/** A key, which is also the name of its namespace. */
export function keyName(slot: number, index: number): string {
  return `data${slot}-${index}`
}

/** The key in the root under which a writer records its writes. */
export function saidName(slot: number, index: number): string {
  return `said${slot}-${index}`
}

const WAYS = 8

/** Does the write with this number. */
export function write(space: SharedCache, key: string, number: number): void {
  const value = valueOf(key, number)
  switch (number % WAYS) {
    case 3:
      space.set(key, value)
      space.delete(key)
      break
    case 4:
      space.set(key, value, { tags: ['tag'], ttl: '1h' })
      break
    case 5:
      space.invalidateTags('tag')
      break
    case 6:
      space.set(key, value)
      space.clear()
      break
    case 7:
      space.set(key, value, { tags: ['kept', 'tag'] })
      for (let i = 0; i < 3; i++) space.invalidateTags(`other ${i}`)
      break
    default:
      space.set(key, value, number % 2 === 0 ? {} : { ttl: '1h' })
  }
}

/** Whether the write with this number leaves no entry. */
export function isAbsentAfter(number: number): boolean {
  return number === 0 || [3, 5, 6].includes(number % WAYS)
}

function valueOf(key: string, number: number): unknown {
  return number % 3 === 0 ? `${key}:${number}` : number % 3 === 1 ? number : { key, number, inner: { list: [number] } }
}

/** The number of a value of this key. Throws for a value that no writer wrote. */
export function numberOf(key: string, value: unknown): number {
  const claim = typeof value === 'object' && value !== null ? (value as { number: number }).number : value
  const number = typeof claim === 'string' ? Number(claim.split(':')[1]) : (claim as number)
  if (!isDeepStrictEqual(value, valueOf(key, number)))
    throw new Error(`the value under ${key} is none that was written`)
  return number
}

/** Whether a read may have returned this value between two reads of the record. */
export function isPossible(key: string, value: unknown, before: number, after: number): boolean {
  // The write after the recorded one may be under way, or done.
  if (value !== undefined) {
    const number = numberOf(key, value)
    return number >= before && number <= after + 1
  }
  for (let number = before; number <= after + 1; number++) if (isAbsentAfter(number)) return true
  return false
}
