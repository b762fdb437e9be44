/**
 * The form of an element of a collection, which values, requests and answers share; see
 * `crates/core/src/collections/element.rs`.
 */

import { Kind } from './layout.ts'

/** Bits of the first byte: what the element has besides its key. */
export const ElementFlag = { Value: 1, Deadline: 2, Score: 4 } as const

/** Bytes of a deadline. */
export const DEADLINE_BYTES = 6

/** Bytes of a value in front of its elements. */
export const COLLECTION_HEADER = 16

/** Whether entries of this kind are collections. */
export function isCollection(kind: number): boolean {
  return kind === Kind.Hash || kind === Kind.List || kind === Kind.Set || kind === Kind.SortedSet
}
