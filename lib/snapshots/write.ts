/**
 * Writes a snapshot: walks over the entries in slices, compresses frames in the background, writes them aside.
 *
 * Promises: each record is an entry as it was at one moment between begin and end, whole. An entry that was there at the
 * begin and stayed unchanged until the end is in the file. Clears and invalidations of tags take effect up to the end:
 * the trailer has what they ended.
 */
import { isPortable, native } from '../engine/engine.ts'
import { packageVersion } from '../native/addon.ts'
import { namespaceNotes, toPayload } from './documents.ts'
import type { Header, Trailer } from './documents.ts'
import { fileError, pathOf, writeAside } from './files.ts'
import type { FileAside, SnapshotPath } from './files.ts'
import { FrameKind, MAX_PAYLOAD, frameOf, preamble } from './format.ts'
import type { SnapshotCompression } from './format.ts'
import type { ResolvedSnapshot, SnapshotInfo } from './options.ts'
import { Pace } from './pace.ts'
import { OneSegment } from './segment.ts'
import type { SnapshotCalls } from './segment.ts'

/** Bytes of one slice: it takes less than a millisecond, unless a single value is larger. */
const SLICE_BYTES = 128 << 10
/** Frames that are compressed at a time. */
const MAX_PENDING = 4
/** So late that no invalidation has this clock. */
const NEVER = Number.MAX_SAFE_INTEGER

/** Writes a snapshot of the namespace of a cache, of the root with all namespaces. */
export async function writeSnapshot(
  calls: SnapshotCalls,
  given: SnapshotPath,
  { compression, signal, onProgress }: ResolvedSnapshot,
): Promise<SnapshotInfo> {
  const path = pathOf(given)
  const segment = new OneSegment(calls, 'snapshot')
  const pace = new Pace(signal)
  const begin = performance.now()
  const createdAt = Date.now()
  const { clock } = segment.call((id) => native.snapshotState(id, NEVER))
  let file: FileAside | undefined
  try {
    file = await writeAside(path)
    const frames = new FrameWriter(file, compression)
    frames.add(FrameKind.Header, toPayload(headerOf(calls, createdAt)))
    const { entries, bytes } = await writeRecords(segment, frames, pace, onProgress)
    const end = segment.call((id) => native.snapshotState(id, evenClock(clock)))
    for (let at = 0; at < end.invalidated.length; at += INVALIDATED_BYTES) {
      frames.add(FrameKind.Invalidated, Buffer.from(end.invalidated.slice(at, at + INVALIDATED_BYTES)))
    }
    const { version, horizon, versions } = end
    const trailer: Trailer = { entries, bytes, version, horizon, namespaces: namespaceNotes(end), versions }
    frames.add(FrameKind.Trailer, toPayload(trailer))
    const fileBytes = await frames.end()
    signal?.throwIfAborted()
    await file.finish()
    return { path, createdAt, entries, bytes, fileBytes, duration: performance.now() - begin }
  } catch (error) {
    await file?.abandon()
    throw fileError(error, path)
  }
}

/** A whole number of rows of 24 bytes. */
const INVALIDATED_BYTES = Math.floor(MAX_PAYLOAD / 24) * 24

/** The clock at which all recorded invalidations had ended: it is odd during one. */
function evenClock(clock: number): number {
  return clock - (clock % 2)
}

async function writeRecords(
  segment: OneSegment,
  frames: FrameWriter,
  pace: Pace,
  onProgress: ResolvedSnapshot['onProgress'],
): Promise<{ entries: number; bytes: number }> {
  const pieces = new Pieces((payload) => frames.add(FrameKind.Records, payload))
  let [entries, bytes] = [0, 0]
  let next: number | undefined = 0
  while (next !== undefined) {
    const cursor: number = next
    const epoch = segment.epoch()
    const page = segment.call((id) => native.snapshotPage(id, cursor, epoch, SLICE_BYTES))
    entries += page.count
    bytes += page.records.length
    pieces.push(page.records)
    next = page.next
    onProgress?.(entries)
    await frames.room()
    await pace.next()
  }
  pieces.end()
  return { entries, bytes }
}

function headerOf({ options: { native: segment, codec }, handleId }: SnapshotCalls, createdAt: number): Header {
  return {
    createdAt,
    packageVersion: packageVersion(),
    engine: isPortable(handleId) ? 'portable' : 'native',
    name: segment.name,
    namespace: segment.namespace ?? '',
    codec: typeof codec === 'object' ? `custom ${codec.id}` : codec,
  }
}

/** Cuts records into payloads of the maximum size. */
class Pieces {
  readonly #emit: (payload: Buffer) => void
  #buffer = Buffer.allocUnsafeSlow(MAX_PAYLOAD)
  #used = 0

  constructor(emit: (payload: Buffer) => void) {
    this.#emit = emit
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const count = Math.min(bytes.length - at, MAX_PAYLOAD - this.#used)
      this.#buffer.set(bytes.subarray(at, at + count), this.#used)
      at += count
      this.#used += count
      if (this.#used < MAX_PAYLOAD) continue
      this.#emit(this.#buffer)
      // A frame is compressed later, so its buffer is not used again.
      this.#buffer = Buffer.allocUnsafeSlow(MAX_PAYLOAD)
      this.#used = 0
    }
  }

  end(): void {
    if (this.#used > 0) this.#emit(this.#buffer.subarray(0, this.#used))
  }
}

/** Compresses several frames at a time, and writes them in their order. */
class FrameWriter {
  readonly #file: FileAside
  readonly #compression: SnapshotCompression
  #number = 0
  #pending = 0
  #bytes = 0
  #last: Promise<void>
  /** Resolves when the next frame was written. */
  #written: (() => void) | undefined

  constructor(file: FileAside, compression: SnapshotCompression) {
    this.#file = file
    this.#compression = compression
    this.#last = this.#write(Promise.resolve([preamble()]), Promise.resolve())
  }

  add(kind: number, payload: Buffer): void {
    const frame = frameOf(kind, this.#number++, payload, this.#compression)
    this.#pending++
    this.#last = this.#write(frame, this.#last).finally(() => {
      this.#pending--
      this.#written?.()
    })
    // The error is that of `room` or `end`.
    frame.catch(() => undefined)
    this.#last.catch(() => undefined)
  }

  /** Resolves when another frame may be added. Rejects when a frame could not be written. */
  async room(): Promise<void> {
    while (this.#pending >= MAX_PENDING) await new Promise<void>((resolve) => (this.#written = resolve))
    if (this.#pending === 0) await this.#last
  }

  /** Resolves with the bytes of the file when all frames were written. */
  async end(): Promise<number> {
    await this.#last
    return this.#bytes
  }

  async #write(frame: Promise<Buffer[]>, before: Promise<void>): Promise<void> {
    await before
    const parts = await frame
    await this.#writeAll(parts)
  }

  async #writeAll(parts: readonly Buffer[]): Promise<void> {
    for (let bytes = Buffer.concat(parts); bytes.length > 0;) {
      const { bytesWritten } = await this.#file.handle.write(bytes)
      this.#bytes += bytesWritten
      bytes = bytes.subarray(bytesWritten)
    }
  }
}
