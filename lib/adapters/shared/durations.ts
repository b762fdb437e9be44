/**
 * Durations among the options of an adapter.
 */
import { MAX_DURATION, parseDuration } from '../../arguments/units.ts'
import type { Milliseconds } from '../../arguments/units.ts'
import { invalid } from '../../errors.ts'

/**
 * Milliseconds of an option.
 *
 * @throws {CacheError} `ERR_INVALID_TTL` unless it is above 0.
 */
export function positive(option: string, duration: unknown): Milliseconds {
  const milliseconds = parseDuration(duration)
  if (milliseconds > 0) return Math.min(milliseconds, MAX_DURATION)
  throw invalid(`${option} must be milliseconds above 0 or a duration such as '5m'`, duration, 'ERR_INVALID_TTL')
}
