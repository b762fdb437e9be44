/**
 * How most child programs begin: the test passes the segment, and the program opens it.
 */
import { open } from '../../index.ts'
import type { OpenOptions, SharedCache } from '../../index.ts'
import { input } from './port.ts'

/** The segment to open. */
export interface SegmentInput {
  readonly name: string
  readonly size: `${number}mb`
}

/** Opens the segment of the input, with a patient `writeTimeout`. Returns the input and the cache. */
export function openInput<I extends SegmentInput = SegmentInput, V = unknown>(
  options: Partial<OpenOptions> = {},
): I & { readonly cache: SharedCache<V> } {
  const given = input<I>()
  const cache = open<V>({ name: given.name, size: given.size, writeTimeout: '10s', ...options })
  return { ...given, cache }
}
