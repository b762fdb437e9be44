/**
 * Caches that count their native calls, and values with and without near copies.
 */
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { counted } from './raw-calls.ts'
import type { Counts } from './raw-calls.ts'
import { openCache } from './segment.ts'
import type { TestOptions } from './segment.ts'

/** Values that the near cache keeps. */
export const KEPT: Record<string, unknown> = {
  text: 'a text',
  'an empty text': '',
  'text beyond ASCII': 'żółć 日本 😀',
  'a text with U+FFFD': 'a\uFFFDb',
  number: 42.5,
  'minus zero': -0,
  true: true,
  false: false,
  null: null,
  bigint: 2n ** 60n,
  'a large bigint': -(2n ** 100n),
  object: { a: 1, b: 'two', c: [1, { d: null }], e: {} },
  array: [[1, 2], [{ x: 1 }], 'three'],
  'an object with what JSON cannot hold': { a: undefined, b: -0, c: Number.NaN, d: 1n, e: [undefined] },
  'an object with Dates': { at: new Date(0), all: [new Date(1), new Date(Number.NaN)] },
}

/** Values that every `get` reads from the segment. */
export const NOT_KEPT: Record<string, unknown> = {
  Buffer: Buffer.from('bytes'),
  Uint8Array: Uint8Array.of(1, 2, 3),
  Map: new Map([['a', { b: 1 }]]),
  'an object with a Set': { set: new Set([1]) },
  'an object with bytes': { bytes: Uint8Array.of(1) },
  'an Error': new Error('so it is'),
  'a RegExp': /x/g,
}

export function openCounted(t: ExecutionContext, options: TestOptions = {}): [SharedCache, Counts] {
  return counted(() => openCache(t, options))
}

/** What `get` returns from a near copy; fails the test if there is none. */
export function near(t: ExecutionContext, cache: SharedCache, counts: Counts, key: string): unknown {
  for (let i = 0; i < 3; i++) cache.get(key)
  const before = counts['getNear']
  const value = cache.get(key)
  t.is(counts['getNear'], before, 'the read went to the segment')
  return value
}
