/**
 * The content of a collection as a plain copy, for tools that show an entry whatever it is.
 */
import type { ResolvedCodec } from '../codec/codec.ts'
import { COLLECTION_HEADER } from '../native/elements.ts'
import { Kind } from '../native/layout.ts'
import { Reply } from './reply.ts'

/**
 * A Map of fields or of scores, an array, or a Set. A field that has expired stays in it until the next change. Damaged
 * bytes throw any error.
 */
export function contentOf(
  bytes: Uint8Array,
  kind: number,
  codec: ResolvedCodec,
): Map<unknown, unknown> | Set<unknown> | unknown[] {
  // A codec of the user may make calls, which answer in the same memory.
  const own = Buffer.from(bytes.subarray(COLLECTION_HEADER))
  const elements = new Reply(own, own.length, codec).rest()
  switch (kind) {
    case Kind.Hash:
      return new Map(elements.map(({ key, value }) => [key, value]))
    case Kind.SortedSet:
      return new Map(elements.map(({ key, score }) => [key, score]))
    case Kind.Set:
      return new Set(elements.map(({ key }) => key))
    default:
      return elements.map(({ key }) => key)
  }
}
