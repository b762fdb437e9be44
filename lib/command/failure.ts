/**
 * Failures of commands: what a person reads, what a program reads, and the exit code.
 */
import { bySimilarity } from '../arguments/similar.ts'
import { CacheError } from '../errors.ts'
import type { SegmentOptions } from '../arguments/options.ts'
import type { Segments } from '../segment/segments.ts'
import { UsageError } from './arguments.ts'
import type { ExitCode } from './command.ts'
import type { Output } from './output.ts'

/** There is no segment of that name: as `open` with `create: false`, for commands that do not attach. */
export class NotFound extends CacheError {
  constructor(name: string, place: SegmentOptions, segments: Segments) {
    const names = bySimilarity(
      name,
      segments.list(place).map((info) => info.name),
    )
    const where = place.directory ?? '/dev/shm'
    const hint =
      names.length === 0
        ? `This ${place.group === undefined ? 'user' : 'group'} has no segment in ${where}. Is it that of another user, or does ` +
          'the program pass a directory or a group to open?'
        : `${where} has ${names.slice(0, 5).join(', ')}. "cache-machine list" shows all segments.`
    super('ERR_NO_SEGMENT', `there is no segment "${name}"`, { hint })
  }
}

/** Codes that mean that an argument is wrong. */
const MISTAKES: readonly string[] = [
  'ERR_INVALID_ARGUMENT',
  'ERR_INVALID_TTL',
  'ERR_KEY_TOO_LONG',
  'ERR_UNSERIALIZABLE',
]

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof UsageError) return 2
  return error instanceof CacheError && MISTAKES.includes(error.code) ? 2 : 1
}

/** Prints an error with its remedy; as JSON `{ "error": { "code", "message", "hint" } }`. */
export function printError(error: unknown, err: Output, isJson: boolean): void {
  const { code, message, hint } = describeError(error)
  if (isJson) {
    err.json({ error: { code, message, hint: hint ?? null } })
    return
  }
  err.line(`${err.colour('red', 'cache-machine:')} ${message}${code === 'ERR_USAGE' ? '' : ` (${code})`}`)
  if (hint !== undefined) err.line(hint)
}

function describeError(error: unknown): { code: string; message: string; hint: string | undefined } {
  if (error instanceof UsageError) return { code: 'ERR_USAGE', message: error.message, hint: error.hint }
  if (error instanceof CacheError) return error
  const { code, message } = error as NodeJS.ErrnoException
  return { code: code ?? 'ERR_UNEXPECTED', message: message ?? String(error), hint: undefined }
}
