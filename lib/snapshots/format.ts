/**
 * The file of a snapshot: a magic, then frames, each with its length and its checksums. docs/snapshot-format.md
 * describes it.
 *
 * The reader believes nothing. It refuses lengths above the maximum before it allocates, a checksum that differs, a
 * frame in another place than its own, a frame that becomes larger than it says, and an end without its trailer.
 */
import { constants, brotliCompress, brotliDecompress } from 'node:zlib'
import zlib from 'node:zlib'
import { promisify } from 'node:util'
import { CacheError } from '../errors.ts'

/** The first bytes of the file; the version of the format follows. */
const MAGIC: Buffer = Buffer.from('cache-machine\0', 'latin1')
/** The version that this package writes. It reads this one and all earlier ones. */
export const FORMAT_VERSION = 2
export const PREAMBLE_BYTES: number = MAGIC.length + 2

/** Bytes of a frame in front of its payload. */
export const FRAME_BYTES = 24
/** Maximum bytes of the payload of a frame. */
export const MAX_PAYLOAD: number = 1 << 20

/** What a frame contains. */
export const FrameKind = {
  /** JSON: what the snapshot is. The first frame. */
  Header: 1,
  /** A piece of the records, which may end inside a record. */
  Records: 2,
  /** Tags that were invalidated during the snapshot, three words each. */
  Invalidated: 3,
  /** JSON: counts, namespaces. The last frame. */
  Trailer: 4,
} as const

/** How a payload is stored. */
const Storage = { Plain: 0, Brotli: 1 } as const

/** How the payloads of a snapshot are compressed. */
export type SnapshotCompression = 'brotli' | 'none'

/** A frame that was read and checked, except for its payload. */
export interface FrameHead {
  readonly kind: number
  readonly storage: number
  /** Bytes in the file. */
  readonly stored: number
  /** Bytes of the payload. */
  readonly length: number
  readonly checksum: number
}

const compress = promisify(brotliCompress)
const decompress = promisify(brotliDecompress)

/** The preamble of a file. */
export function preamble(): Buffer {
  const bytes = Buffer.alloc(PREAMBLE_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt16LE(FORMAT_VERSION, MAGIC.length)
  return bytes
}

/** Checks the preamble of a file. */
export function checkPreamble(bytes: Buffer): void {
  if (bytes.length < PREAMBLE_BYTES) throw corrupt('it ends in its first bytes')
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw corrupt('it is no snapshot of a cache')
  const version = bytes.readUInt16LE(MAGIC.length)
  if (version > FORMAT_VERSION) {
    const message = `the snapshot has the format ${version}, and this version reads up to ${FORMAT_VERSION}`
    throw new CacheError('ERR_SNAPSHOT_VERSION', message)
  }
  if (version === 0) throw corrupt('its format has the number 0')
}

/** A frame as bytes. `number`: its place among the frames. */
export async function frameOf(
  kind: number,
  number: number,
  payload: Buffer,
  compression: SnapshotCompression,
): Promise<Buffer[]> {
  let body = payload
  let storage: number = Storage.Plain
  if (compression === 'brotli') {
    // Quality 1: by far the best trade of time against size. A window of 1 MiB is that of a whole payload.
    const params = {
      [constants.BROTLI_PARAM_QUALITY]: 1,
      [constants.BROTLI_PARAM_LGWIN]: 20,
      [constants.BROTLI_PARAM_SIZE_HINT]: payload.length,
    }
    const smaller = await compress(payload, { params })
    if (smaller.length < payload.length) [body, storage] = [smaller, Storage.Brotli]
  }
  const head = Buffer.alloc(FRAME_BYTES)
  head[0] = kind
  head[1] = storage
  head.writeUInt32LE(number, 4)
  head.writeUInt32LE(body.length, 8)
  head.writeUInt32LE(payload.length, 12)
  head.writeUInt32LE(zlib.crc32(body), 16)
  head.writeUInt32LE(zlib.crc32(head.subarray(0, FRAME_BYTES - 4)), 20)
  return [head, body]
}

/** Reads the head of the frame with this number. */
export function frameHead(bytes: Buffer, number: number): FrameHead {
  if (zlib.crc32(bytes.subarray(0, FRAME_BYTES - 4)) !== bytes.readUInt32LE(20)) {
    throw corrupt(`the head of frame ${number} has another checksum`)
  }
  const head = {
    kind: bytes[0] as number,
    storage: bytes[1] as number,
    stored: bytes.readUInt32LE(8),
    length: bytes.readUInt32LE(12),
    checksum: bytes.readUInt32LE(16),
  }
  if (bytes.readUInt32LE(4) !== number) throw corrupt(`frame ${number} is missing or out of place`)
  if (bytes.readUInt16LE(2) !== 0) throw corrupt(`frame ${number} uses reserved bits`)
  if (head.length > MAX_PAYLOAD || head.stored > head.length) throw corrupt(`frame ${number} is too large`)
  if (head.storage === Storage.Plain ? head.stored !== head.length : head.storage !== Storage.Brotli) {
    throw corrupt(`frame ${number} is stored in an unknown way`)
  }
  return head
}

/** The payload of a frame. */
export async function payloadOf(head: FrameHead, body: Buffer, number: number): Promise<Buffer> {
  if (zlib.crc32(body) !== head.checksum) throw corrupt(`frame ${number} has another checksum`)
  if (head.storage === Storage.Plain) return body
  let payload: Buffer
  try {
    payload = await decompress(body, { maxOutputLength: Math.max(1, head.length) })
  } catch (cause) {
    throw corrupt(`frame ${number} cannot be decompressed`, cause)
  }
  if (payload.length !== head.length) throw corrupt(`frame ${number} has another length than it says`)
  return payload
}

/** The error for a damaged file. */
export function corrupt(what: string, cause?: unknown): CacheError {
  const message = `the snapshot is damaged: ${what}`
  return new CacheError('ERR_SNAPSHOT_CORRUPT', message, cause === undefined ? undefined : { cause })
}
