/**
 * Header and trailer of a snapshot: JSON, checked field by field when it is read. Fields that this version does not know
 * are ignored, so that later versions may add some.
 */
import type { NativeExportState } from '../native/addon.ts'
import { MAX_VERSIONS } from '../native/records.ts'
import { corrupt } from './format.ts'

/** The first frame: what the snapshot is. */
export interface Header {
  /** Epoch milliseconds at which it began. */
  readonly createdAt: number
  /** The version of the package that wrote it. */
  readonly packageVersion: string
  readonly engine: 'native' | 'portable'
  /** The name of the cache. */
  readonly name: string
  /** The namespace; empty for the root, of which the snapshot has all namespaces. */
  readonly namespace: string
  /** The codec of the cache that wrote it; values may be of others. */
  readonly codec: string
}

/** A namespace of a snapshot. */
export interface NamespaceNote {
  /** As records have it. */
  readonly number: number
  /** Empty for the root. */
  readonly name: string
  /** The halves of its life at the end of the snapshot. Records of another life had been cleared by then. */
  readonly life: readonly [number, number]
  readonly quota: { readonly reserve?: number; readonly size?: number; readonly eviction?: string } | undefined
}

/** The last frame: what the snapshot has, and what ended during it. */
export interface Trailer {
  /** The number of records. */
  readonly entries: number
  /** Bytes of all records. */
  readonly bytes: number
  /** The highest version of the segment. */
  readonly version: number
  /** Tagged records of an earlier clock cannot be judged, and are left out. */
  readonly horizon: number
  readonly namespaces: readonly NamespaceNote[]
  /** The versions of the application. */
  readonly versions: readonly VersionNote[]
}

/** A version of the application, by the number that records have. */
export interface VersionNote {
  readonly number: number
  readonly name: string
}

const MAX_NAMESPACES = 1024
const MAX_NAME = 63
const VERSION_NAME = /^[A-Za-z0-9._-]{1,32}$/
/** Versions of a segment are below this; a restore leaves room above. */
const MAX_VERSION = 2 ** 51
const EVICTIONS: readonly unknown[] = ['s3-fifo', 'lru', 'none']

/** A document as the payload of its frame. */
export function toPayload(document: Header | Trailer): Buffer {
  return Buffer.from(JSON.stringify(document))
}

/** The namespaces of a state of the segment. */
export function namespaceNotes({ namespaces }: NativeExportState): NamespaceNote[] {
  return namespaces.map(({ number, name, life, quota }) => ({
    number,
    name,
    life: [life[0] ?? 0, life[1] ?? 0],
    quota: quota as NamespaceNote['quota'],
  }))
}

/** Reads a header. */
export function headerOf(payload: Buffer): Header {
  const document = parse(payload, 'header')
  return {
    createdAt: wholeNumber(document, 'createdAt', Number.MAX_SAFE_INTEGER),
    packageVersion: text(document, 'packageVersion', 256),
    engine: text(document, 'engine', 16) === 'portable' ? 'portable' : 'native',
    name: text(document, 'name', 256),
    namespace: text(document, 'namespace', MAX_NAME),
    codec: text(document, 'codec', 256),
  }
}

/** Reads a trailer. */
export function trailerOf(payload: Buffer): Trailer {
  const document = parse(payload, 'trailer')
  const { namespaces } = document
  if (!Array.isArray(namespaces) || namespaces.length > MAX_NAMESPACES) throw wrong('namespaces')
  return {
    entries: wholeNumber(document, 'entries', Number.MAX_SAFE_INTEGER),
    bytes: wholeNumber(document, 'bytes', Number.MAX_SAFE_INTEGER),
    version: wholeNumber(document, 'version', MAX_VERSION),
    horizon: wholeNumber(document, 'horizon', Number.MAX_SAFE_INTEGER),
    namespaces: namespaces.map(noteOf),
    versions: versionsOf(document['versions'] ?? []),
  }
}

/** A snapshot of version 1 of the format has none. */
function versionsOf(given: unknown): VersionNote[] {
  if (!Array.isArray(given) || given.length > MAX_VERSIONS) throw wrong('versions')
  return given.map((one: unknown) => {
    const note = object(one, 'versions')
    const name = text(note, 'name', MAX_NAME)
    if (!VERSION_NAME.test(name)) throw wrong('versions')
    return { number: wholeNumber(note, 'number', MAX_VERSIONS - 1), name }
  })
}

function noteOf(given: unknown): NamespaceNote {
  const note = object(given, 'namespaces')
  const { life, quota } = note
  if (!Array.isArray(life) || life.length !== 2) throw wrong('life')
  const halves = { root: life[0] as unknown, own: life[1] as unknown }
  return {
    number: wholeNumber(note, 'number', MAX_NAMESPACES - 1),
    name: text(note, 'name', MAX_NAME),
    life: [wholeNumber(halves, 'root', 2 ** 32 - 1), wholeNumber(halves, 'own', 2 ** 32 - 1)],
    quota: quota === undefined || quota === null ? undefined : quotaOf(object(quota, 'quota')),
  }
}

function quotaOf(given: Readonly<Record<string, unknown>>): NonNullable<NamespaceNote['quota']> {
  const { reserve, size, eviction } = given
  if (eviction !== undefined && eviction !== null && !EVICTIONS.includes(eviction)) throw wrong('eviction')
  return {
    ...(typeof reserve === 'number' && { reserve: wholeNumber(given, 'reserve', Number.MAX_SAFE_INTEGER) }),
    ...(typeof size === 'number' && { size: wholeNumber(given, 'size', Number.MAX_SAFE_INTEGER) }),
    ...(typeof eviction === 'string' && { eviction }),
  }
}

function parse(payload: Buffer, what: string): Readonly<Record<string, unknown>> {
  try {
    return object(JSON.parse(payload.toString('utf8')), what)
  } catch (cause) {
    throw corrupt(`its ${what} cannot be read`, cause)
  }
}

function object(given: unknown, what: string): Readonly<Record<string, unknown>> {
  if (typeof given !== 'object' || given === null) throw wrong(what)
  return given as Readonly<Record<string, unknown>>
}

function wholeNumber(from: Readonly<Record<string, unknown>>, name: string, max: number): number {
  const number = from[name]
  if (!Number.isSafeInteger(number) || (number as number) < 0 || (number as number) > max) throw wrong(name)
  return number as number
}

function text(from: Readonly<Record<string, unknown>>, name: string, max: number): string {
  const found = from[name]
  if (typeof found !== 'string' || Buffer.byteLength(found) > max) throw wrong(name)
  return found
}

function wrong(field: string): Error {
  return corrupt(`its field ${field} is wrong`)
}
