/**
 * Keys for texts of a host that may be longer than a key of the cache, or have characters that a key must not have.
 */
import { createHash } from 'node:crypto'

/** Longer texts become digests. */
const MAX_LENGTH = 512

/** `prefix` with the text itself, or with its digest. A prefix has few characters. */
export function boundedKey(prefix: string, text: string): string {
  const isKey = text.length > 0 && text.length <= MAX_LENGTH && text.isWellFormed()
  // No text of a host begins with a null character, so that a digest is never taken for one.
  return isKey ? `${prefix}${text}` : `${prefix}\0${createHash('sha256').update(text).digest('base64url')}`
}
