/**
 * Reads the frames of a snapshot, some of them ahead, and cuts the records out of their payloads.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { MAX_KEY, MAX_TAGS } from '../native/layout.ts'
import { RECORD_BYTES, faultOf, recordLength } from '../native/records.ts'
import { headerOf, trailerOf } from './documents.ts'
import type { Header, Trailer } from './documents.ts'
import { checkIsFile } from './files.ts'
import { FRAME_BYTES, FrameKind, PREAMBLE_BYTES, checkPreamble, corrupt, frameHead, payloadOf } from './format.ts'

/** Frames that are read and decompressed ahead. */
const MAX_AHEAD = 4
/** Bytes of a record without its value, at most. */
const MAX_FRONT = RECORD_BYTES + 8 + MAX_TAGS * 8 + MAX_KEY

/** A frame with its payload. */
interface Frame {
  readonly kind: number
  readonly payload: Buffer
}

/** An open snapshot. It can be read several times. */
export class SnapshotFile {
  readonly #handle: FileHandle
  readonly #size: number

  private constructor(handle: FileHandle, size: number) {
    this.#handle = handle
    this.#size = size
  }

  static async open(path: string): Promise<SnapshotFile> {
    await checkIsFile(path)
    const handle = await open(path, 'r')
    try {
      const { size } = await handle.stat()
      const file = new SnapshotFile(handle, size)
      checkPreamble(await file.#read(0, Math.min(size, PREAMBLE_BYTES)))
      return file
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  /**
   * Reads all frames in their order. The header comes first and the trailer last; `onRecords` and `onInvalidated` get
   * the payloads in between. Rejects with `ERR_SNAPSHOT_CORRUPT`.
   */
  async readAll(
    onRecords: (payload: Buffer) => void | Promise<void>,
    onInvalidated: (payload: Buffer) => void = () => undefined,
  ): Promise<{ header: Header; trailer: Trailer }> {
    let header: Header | undefined
    let trailer: Trailer | undefined
    let hasInvalidated = false
    for await (const { kind, payload } of this.#frames()) {
      if (trailer !== undefined) throw corrupt('there are frames behind its trailer')
      if (header === undefined) {
        if (kind !== FrameKind.Header) throw corrupt('its first frame is no header')
        header = headerOf(payload)
      } else if (kind === FrameKind.Records && !hasInvalidated) await onRecords(payload)
      else if (kind === FrameKind.Invalidated && payload.length % 24 === 0) {
        hasInvalidated = true
        onInvalidated(payload)
      } else if (kind === FrameKind.Trailer) trailer = trailerOf(payload)
      else throw corrupt(`it has a frame of the kind ${kind} in the wrong place`)
    }
    if (header === undefined || trailer === undefined) throw corrupt('its end is missing')
    return { header, trailer }
  }

  async *#frames(): AsyncGenerator<Frame, undefined> {
    const ahead: Promise<Frame>[] = []
    try {
      let at = PREAMBLE_BYTES
      for (let number = 0; at < this.#size; number++) {
        if (this.#size - at < FRAME_BYTES) throw corrupt('it is cut off inside a frame')
        const head = frameHead(await this.#read(at, FRAME_BYTES), number)
        at += FRAME_BYTES
        if (this.#size - at < head.stored) throw corrupt('it is cut off inside a frame')
        const body = await this.#read(at, head.stored)
        at += head.stored
        const frame = payloadOf(head, body, number).then((payload) => ({ kind: head.kind, payload }))
        frame.catch(() => undefined)
        ahead.push(frame)
        if (ahead.length >= MAX_AHEAD) yield await (ahead.shift() as Promise<Frame>)
      }
      for (const frame of ahead) yield await frame
    } finally {
      // What is under way must not be decompressed into closed hands.
      await Promise.allSettled(ahead)
    }
  }

  async #read(at: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(length)
    for (let done = 0; done < length;) {
      const { bytesRead } = await this.#handle.read(bytes, done, length - done, at + done)
      if (bytesRead === 0) throw corrupt('it has become shorter while it was read')
      done += bytesRead
    }
    return bytes
  }
}

/** Whole records in one buffer: their offsets, and at the end the offset behind the last one. */
export interface Batch {
  readonly bytes: Buffer
  readonly offsets: readonly number[]
}

/**
 * Cuts records out of payloads, where a record may begin in one and end in another. A record with more than `most` bytes
 * of key and value is passed over, so it takes no memory.
 */
export class RecordCutter {
  readonly #most: number
  readonly #onRecord: (bytes: Buffer, at: number) => void
  /** The beginning of a record of unknown length. */
  #front: Buffer = Buffer.alloc(0)
  /** The record that is put together, of known length. */
  #whole: Buffer | undefined
  #filled = 0
  /** Bytes of a record that is passed over. */
  #skip = 0
  /** Records so far. */
  count = 0
  /** Bytes so far. */
  bytes = 0
  /** Records that were passed over. */
  tooLarge = 0

  /** `onRecord` gets the place of the fixed part of each record. */
  constructor(most: number, onRecord: (bytes: Buffer, at: number) => void = () => undefined) {
    this.#most = most
    this.#onRecord = onRecord
  }

  /** Whether the last payload ended with a record. */
  get isWhole(): boolean {
    return this.#front.length === 0 && this.#whole === undefined && this.#skip === 0
  }

  /** The records that this payload ends or has. Throws `ERR_SNAPSHOT_CORRUPT` for one that cannot be. */
  push(payload: Buffer): Batch[] {
    this.bytes += payload.length
    const batches: Batch[] = []
    let rest = payload
    if (this.#whole !== undefined || this.#skip > 0) rest = this.#continue(rest, batches)
    if (rest.length === 0) return batches
    if (this.#front.length > 0) {
      rest = Buffer.concat([this.#front, rest])
      this.#front = Buffer.alloc(0)
    }
    return this.#cut(rest, batches)
  }

  #continue(payload: Buffer, batches: Batch[]): Buffer {
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, payload.length)
      this.#skip -= skipped
      return payload.subarray(skipped)
    }
    const whole = this.#whole as Buffer
    const taken = Math.min(whole.length - this.#filled, payload.length)
    payload.copy(whole, this.#filled, 0, taken)
    this.#filled += taken
    if (this.#filled === whole.length) {
      this.#whole = undefined
      batches.push({ bytes: whole, offsets: [0, whole.length] })
    }
    return payload.subarray(taken)
  }

  #cut(bytes: Buffer, batches: Batch[]): Batch[] {
    let offsets = [0]
    let at = 0
    const end = (): void => {
      if (offsets.length > 1) batches.push({ bytes, offsets })
    }
    while (at < bytes.length) {
      if (bytes.length - at < RECORD_BYTES) {
        this.#front = Buffer.from(bytes.subarray(at))
        break
      }
      const fault = faultOf(bytes, at)
      if (fault !== undefined) throw corrupt(`record ${this.count}: ${fault}`)
      const length = recordLength(bytes, at)
      this.#onRecord(bytes, at)
      this.count++
      const isTooLarge = length - MAX_FRONT > this.#most
      if (isTooLarge) this.tooLarge++
      if (isTooLarge || length > bytes.length - at) {
        end()
        offsets = []
        if (isTooLarge) {
          const skipped = Math.min(length, bytes.length - at)
          this.#skip = length - skipped
          at += skipped
          offsets = [at]
          continue
        }
        this.#whole = Buffer.allocUnsafeSlow(length)
        this.#filled = bytes.copy(this.#whole, 0, at)
        return batches
      }
      at += length
      offsets.push(at)
    }
    end()
    return batches
  }
}
