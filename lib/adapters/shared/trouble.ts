/**
 * Trouble with a segment, as opposed to a wrong argument: what must not take the host down.
 */
import { CacheError } from '../../errors.ts'
import type { CacheErrorCode } from '../../errors.ts'

const TROUBLE: ReadonlySet<CacheErrorCode> = new Set<CacheErrorCode>([
  'ERR_BUSY',
  'ERR_CLOSED',
  'ERR_NATIVE_UNAVAILABLE',
  'ERR_NO_SPACE',
  'ERR_PERMISSION',
  'ERR_SEGMENT_CORRUPT',
  'ERR_SEGMENT_IN_USE',
  'ERR_SEGMENT_MISMATCH',
  'ERR_SEGMENT_VERSION',
])

/** Whether an error comes from the segment or its memory, and not from an argument or a callback. */
export function isTrouble(error: unknown): error is CacheError {
  return error instanceof CacheError && TROUBLE.has(error.code)
}
