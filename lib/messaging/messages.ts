/**
 * The messages of channels: `publish`, and the message stream of `subscribe`.
 *
 * A message may be any value that can be stored, of the same kinds. It crosses as bytes: a number that `set` passes to
 * the native side as a JavaScript value is here its bytes, in the little-endian order of the native side.
 */
import { givenKey } from '../arguments/keys.ts'
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { escapedText, fromBytes, fromText, isBytes } from '../codec/codec.ts'
import type { ResolvedCodec, ValueEncoder } from '../codec/codec.ts'
import { CacheError, about, invalid, showKey } from '../errors.ts'
import { native } from '../engine/engine.ts'
import { Kind } from '../native/layout.ts'
import type { NativeStreamItem } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { NativeCalls } from '../segment/calls.ts'
import type { StreamKind } from './streams.ts'

/** A message of a channel. */
export interface ChannelMessage<M = unknown> {
  /** The channel; with a prefix subscription, channels differ. */
  readonly channel: string
  /** A copy of the published value. */
  readonly message: M
  /** The number of messages before this one that were lost, usually 0; as `Change.lost`. */
  readonly lost: number
}

/** A channel, or all channels that start with a prefix. */
export interface ResolvedChannel {
  readonly name: string
  readonly isPrefix: boolean
}

/** Sends a message; returns the number of subscriptions that it was written for. Throws as `set`. */
export function publish(calls: NativeCalls, channel: string, message: unknown, encoder: ValueEncoder): number {
  try {
    const { kind, bytes } = packMessage(message, encoder)
    return calls.write((id) => native.publish(id, channel, kind, bytes))
  } catch (error) {
    const subject = `the message for the channel ${showKey(channel)}`
    if (!(error instanceof CacheError) || error.code !== 'ERR_VALUE_TOO_LARGE') throw about(subject, error)
    const hint = 'Store the value with set, and publish its key.'
    throw new CacheError(error.code, `${error.message} (${subject})`, { hint, cause: error })
  }
}

/** A subscription to a checked channel. */
export class Subscription<M> implements StreamKind<ChannelMessage<M>> {
  readonly afterLoss = undefined
  readonly #calls: NativeCalls
  readonly #channel: ResolvedChannel
  readonly #codec: ResolvedCodec

  constructor(calls: NativeCalls, channel: ResolvedChannel, codec: ResolvedCodec) {
    this.#calls = calls
    this.#channel = channel
    this.#codec = codec
  }

  start(buffer: number): number {
    const { name, isPrefix } = this.#channel
    return this.#calls.write((id) => native.subscribeStart(id, name, isPrefix, buffer))
  }

  read({ key, kind, value, lost }: NativeStreamItem): ChannelMessage<M> | undefined {
    try {
      const message = unpackMessage(kind, value as Uint8Array, this.#codec) as M
      return { channel: String(givenKey(key as RawKey)), message, lost }
    } catch {
      return undefined // counts as lost
    }
  }
}

const CHANNEL = accepted<{ prefix: string }>('the channel of subscribe', { prefix: true })

/** The channel, or the prefix of channels, of a subscription. Throws `ERR_INVALID_ARGUMENT`. */
export function resolveChannel(channel: unknown): ResolvedChannel {
  if (typeof channel === 'object' && channel !== null && 'prefix' in channel) {
    checkOptions(channel, CHANNEL)
    return { name: checkChannel(channel.prefix), isPrefix: true }
  }
  return { name: checkChannel(channel), isPrefix: false }
}

/** Throws `ERR_INVALID_ARGUMENT` unless `channel` can be a channel. */
export function checkChannel(channel: unknown): string {
  if (typeof channel === 'string' && channel !== '' && channel.isWellFormed()) return channel
  throw invalid('a channel must be a string of at least one character, without lone surrogates', channel)
}

/** A message as it crosses. Bytes of a structured value are valid until the next value is encoded. */
interface PackedMessage {
  readonly kind: number
  readonly bytes: RawKey
}

function packMessage(message: unknown, encoder: ValueEncoder): PackedMessage {
  const payload = encoder.encode(message)
  const { kind } = encoder
  switch (kind) {
    case Kind.String: {
      const text = payload as string
      return text.isWellFormed() ? { kind, bytes: text } : { kind: Kind.Json, bytes: escapedText(text) }
    }
    case Kind.Number:
      return { kind, bytes: new Uint8Array(Float64Array.of(payload as number).buffer) }
    case Kind.Simple:
      return { kind, bytes: Uint8Array.of(payload as number) }
    case Kind.BigInt64:
      return { kind, bytes: new Uint8Array(BigInt64Array.of(payload as bigint).buffer) }
    default:
      return { kind, bytes: payload as RawKey }
  }
}

/** The message of bytes that the value may keep. Throws `ERR_CODEC_MISMATCH`; damaged bytes throw any error. */
function unpackMessage(kind: number, bytes: Uint8Array, codec: ResolvedCodec): unknown {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  switch (kind) {
    case Kind.String:
      return textOf(bytes)
    case Kind.Number:
      return view.getFloat64(0, true)
    case Kind.Simple:
      return SIMPLE[view.getUint8(0)]
    case Kind.BigInt64:
      return view.getBigInt64(0, true)
    case Kind.Buffer:
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    default:
      return isBytes(kind) ? fromBytes(bytes, kind, codec, true) : fromText(textOf(bytes), kind)
  }
}

const SIMPLE: readonly (boolean | null)[] = [null, false, true]

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
}
