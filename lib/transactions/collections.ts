/**
 * Collections in a transaction: their requests run on what the transaction has, in plain TypeScript.
 */
import type { Key } from '../arguments/keys.ts'
import type { CollectionAccess } from '../collections/collection.ts'
import { fromNative, fromStatus } from '../errors.ts'
import { MetaFloat, STATUS_CODES } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { runRequest } from '../portable/collections.ts'
import { pack, unpack } from '../portable/packed.ts'
import type { RawAccess } from '../segment/calls.ts'
import type { SegmentHandle } from '../segment/handle.ts'
import type { TransactionAccess } from './attempt.ts'
import type { Content } from './contents.ts'

/** How a collection reads and changes its key. */
export interface KeyOfCollection {
  content(): Content | undefined
  /** Stores the bytes; undefined: the key is deleted. `ttl` and `tags` are those of a new entry. */
  store(content: Content | undefined, ttl: number, tags: readonly string[]): void
}

/** The access of the classes of collections, over a transaction. */
export function collectionAccess(
  { raw, encoder }: TransactionAccess,
  key: Key,
  keyOf: (rawKey: RawKey) => KeyOfCollection,
): CollectionAccess {
  const collect: SegmentHandle['collect'] = (rawKey, kind, bytes, length, ttl = 0, tags = []) => {
    const state = keyOf(rawKey)
    const content = state.content()
    if (content !== undefined && content.kind !== kind) throw wrongType(key)
    const request = Buffer.from(bytes.subarray(0, length))
    const before = content === undefined ? [] : unpack(content.found as Buffer)
    const { answer, elements } = asked(() => runRequest(kind, before, request, nowOf(raw)))
    if (elements !== undefined) {
      state.store(elements.length === 0 ? undefined : { kind, found: pack(elements) }, ttl, tags)
    }
    return answer
  }
  const handle = { collect, scratch: new Uint8Array() } as unknown as SegmentHandle
  const access: RawAccess = {
    live: () => handle,
    again: () => undefined,
    retry() {
      throw new Error('a collection in a transaction asks the segment for nothing')
    },
  }
  return { raw: access, encoder }
}

export function wrongType(key: Key): unknown {
  const circumstances = { name: '', writeTimeout: 0, maxEntrySize: 0 }
  return fromStatus(STATUS_CODES.indexOf('ERR_WRONG_TYPE'), circumstances, key)
}

function asked<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    throw fromNative(error)
  }
}

/** Milliseconds on the clock of the segment. */
function nowOf(raw: RawAccess): number {
  const handle = raw.live()
  handle.now()
  return handle.floats[MetaFloat.Now] as number
}
