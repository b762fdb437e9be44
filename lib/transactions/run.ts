/**
 * Runs a transaction: the function, then the commit, and both again after a conflict.
 */
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { CacheError, fromNative, invalid, isDetached } from '../errors.ts'
import { MAX_REOPENS } from '../segment/handle.ts'
import { Attempt, Conflict } from './attempt.ts'
import { Transaction } from './transaction.ts'
import type { TransactionParts } from './transaction.ts'

/** Options of `transaction`. */
export interface TransactionOptions {
  /** How often the function runs before `ERR_BUSY`, because other callers change the same keys. Default: 16. */
  attempts?: number | undefined
}

const OPTIONS = accepted<TransactionOptions>('transaction', { attempts: true })
const ATTEMPTS = 16

/** Runs `fn` until its changes can be made. As `SharedCache.transaction`. */
export function runTransaction<V, T>(
  parts: TransactionParts,
  fn: (tx: Transaction<V>) => T,
  options: TransactionOptions | undefined,
): T {
  checkOptions(options, OPTIONS)
  const attempts = options?.attempts ?? ATTEMPTS
  if (!Number.isSafeInteger(attempts) || attempts < 1) {
    throw invalid('attempts must be a whole number of at least 1', attempts)
  }
  if (typeof fn !== 'function') throw invalid('fn must be a function', fn)
  let reopens = 0
  for (let conflicts = 0; conflicts < attempts;) {
    const attempt = new Attempt(parts.access)
    try {
      const result = fn(new Transaction<V>(attempt, parts))
      if (isThenable(result)) throw asynchronous(result)
      if (attempt.commit()) return result
      conflicts++
    } catch (error) {
      if (error instanceof Conflict) {
        conflicts++
      } else if (isDetached(error) && reopens < MAX_REOPENS) {
        reopens++
        attempt.reopen()
      } else {
        throw fromNative(error)
      }
    } finally {
      attempt.end()
    }
  }
  const hint =
    'Read and change fewer keys, keep the function short, pass more attempts, or take a lock around the transaction.'
  throw new CacheError('ERR_BUSY', `other callers changed the keys of the transaction ${attempts} times`, { hint })
}

function isThenable(value: unknown): boolean {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}

/** The promise is not awaited, so its rejection is handled here. */
function asynchronous(result: unknown): CacheError {
  void Promise.resolve(result).catch(() => {})
  const hint = 'Await what the transaction needs before it, and make its function synchronous.'
  return invalid('the function of a transaction must not return a promise', result, 'ERR_INVALID_ARGUMENT', hint)
}
