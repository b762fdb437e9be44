/**
 * How a call of the portable engine fails: with a code of `STATUS_CODES`, or as `Status.Detached`.
 *
 * A raw call turns a failure into its status, an ordinary call throws it.
 */
import { STATUS_CODES, Status } from '../native/layout.ts'
import type { CacheErrorCode } from '../errors.ts'

/** The `code` of an ordinary call on a segment that was destroyed. */
const DETACHED_CODE = 'ERR_DETACHED'

/** A failed call. */
export class Failure extends Error {
  /** By `STATUS_CODES`, or of `Status`. */
  readonly status: number
  readonly code: string

  constructor(status: number, message: string) {
    super(message)
    this.status = status
    this.code = status === Status.Detached ? DETACHED_CODE : (STATUS_CODES[status] ?? 'ERR_INVALID_ARGUMENT')
  }
}

export function statusOf(code: CacheErrorCode): number {
  return STATUS_CODES.indexOf(code)
}

export function failure(code: CacheErrorCode, message: string): Failure {
  return new Failure(statusOf(code), message)
}

export function invalid(message: string): Failure {
  return failure('ERR_INVALID_ARGUMENT', message)
}

export function noSpace(message: string): Failure {
  return failure('ERR_NO_SPACE', `no space: ${message}`)
}

export function detached(): Failure {
  return new Failure(Status.Detached, 'the segment was destroyed or replaced')
}

/** `what`: of which no handle is open. */
export function closed(what: string): Failure {
  return failure('ERR_CLOSED', `the ${what} is closed`)
}

/** The status with which a raw call reports an error. */
export function statusFor(error: unknown): number {
  return error instanceof Failure ? error.status : statusOf('ERR_SEGMENT_CORRUPT')
}
