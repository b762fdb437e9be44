/**
 * What all collections share: the key, the options of a new collection, and the calls.
 */
import type { Key } from '../arguments/keys.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { checkTags, resolveTtl } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import type { ResolvedCodec, ValueEncoder } from '../codec/codec.ts'
import { CollectionRequest } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { Mode, RawAccess } from '../segment/calls.ts'
import type { SegmentHandle } from '../segment/handle.ts'
import { itemOf } from './items.ts'
import type { Item } from './items.ts'
import { Reply } from './reply.ts'
import type { Found } from './reply.ts'
import { request } from './request.ts'
import type { RequestWriter } from './request.ts'

/** Options of a collection. They count where a call makes the collection, and change none that exists. */
export interface CollectionOptions {
  /** Its lifetime. Default: the `ttl` of `open`, else it has no end. */
  ttl?: Duration | undefined
  /** Its tags: see `SetOptions.tags`. Default: none. */
  tags?: readonly string[] | undefined
}

/** What a collection needs of its cache. */
export interface CollectionAccess {
  readonly raw: RawAccess
  readonly encoder: ValueEncoder
}

/** The checked options. */
export interface NewCollection {
  readonly ttl: Milliseconds
  readonly tags: readonly string[]
}

const OPTIONS = accepted<CollectionOptions>('a collection', { ttl: true, tags: true })

/** Checks options. Throws `ERR_INVALID_ARGUMENT`, `ERR_INVALID_TTL`. */
export function resolveCollection(options: CollectionOptions | undefined, defaultTtl: Milliseconds): NewCollection {
  checkOptions(options, OPTIONS)
  return {
    ttl: options?.ttl === undefined ? defaultTtl : resolveTtl(options.ttl),
    tags: options?.tags === undefined ? [] : checkTags(options.tags),
  }
}

/** Elements that a walk asks for at once. */
const PAGE = 256

/** The memory of the last answer, as a Buffer: all handles of a thread have the same. */
let lastScratch: Uint8Array | undefined
let scratchBuffer: Buffer = Buffer.alloc(0)

function bufferOf(scratch: Uint8Array): Buffer {
  if (scratch !== lastScratch) {
    lastScratch = scratch
    scratchBuffer = Buffer.from(scratch.buffer, scratch.byteOffset, scratch.length)
  }
  return scratchBuffer
}

/** A collection under one key. */
export abstract class Collection {
  /** The key of the collection. */
  readonly key: Key
  readonly #rawKey: RawKey
  readonly #kind: number
  readonly #access: CollectionAccess
  readonly #new: NewCollection

  /** @internal */
  constructor(access: CollectionAccess, key: Key, rawKey: RawKey, kind: number, options: NewCollection) {
    this.key = key
    this.#rawKey = rawKey
    this.#kind = kind
    this.#access = access
    this.#new = options
  }

  /** The number of elements. 0: there is no entry under the key. */
  get size(): number {
    return this.ask('read', request(CollectionRequest.Count))?.count() ?? 0
  }

  /** @internal The item of a value. */
  protected item(value: unknown): Item {
    return itemOf(this.#access.encoder, value)
  }

  /** @internal Makes a call; undefined: a read met trouble with the segment, and is a miss. */
  protected ask(mode: Mode, { bytes, length }: RequestWriter): Reply | undefined {
    const { raw, encoder } = this.#access
    const { ttl, tags } = this.#new
    const [key, kind] = [this.#rawKey, this.#kind]
    const handle = raw.live()
    let answer: Uint8Array | number | undefined
    if (tags.length > 0) answer = handle.collect(key, kind, bytes, length, ttl, tags)
    else if (ttl > 0) answer = handle.collect(key, kind, bytes, length, ttl)
    else answer = handle.collect(key, kind, bytes, length)
    // The next attempt may come after code of the user, which may write another request into the buffer.
    answer ??= raw.again(mode, 'collect', key, kind, Buffer.from(bytes.subarray(0, length)), length, ttl, tags)
    return answer === undefined ? undefined : replyOf(answer, raw.live(), encoder.codec)
  }

  /** @internal A change: trouble with the segment is an error. */
  protected change(asked: RequestWriter): Reply {
    return this.ask('write', asked) as Reply
  }

  /** @internal All elements, in pages: what changes meanwhile may be met or not, and an element may come twice. */
  protected *pages(): Generator<Found> {
    for (let from = 0; ; from += PAGE) {
      const reply = this.ask('read', request(CollectionRequest.Page).count(from).count(PAGE))
      if (reply === undefined || reply.isOver) return
      const isLast = reply.byte() === 0
      yield* reply.rest()
      if (isLast) return
    }
  }

  /** @internal All elements of one moment. */
  protected all(): Found[] {
    const reply = this.ask('read', request(CollectionRequest.Page).count(0).count(Infinity))
    if (reply === undefined || reply.isOver) return []
    reply.byte()
    return reply.rest()
  }
}

function replyOf(answer: Uint8Array | number, { scratch }: SegmentHandle, codec: ResolvedCodec): Reply {
  if (typeof answer !== 'number')
    return new Reply(Buffer.from(answer.buffer, answer.byteOffset, answer.length), answer.length, codec)
  const bytes = bufferOf(scratch)
  // A codec of the user may make calls of its own, which answer in the same memory.
  const isSafe = typeof codec !== 'object'
  return new Reply(isSafe ? bytes : Buffer.from(bytes.subarray(0, answer)), answer, codec)
}
