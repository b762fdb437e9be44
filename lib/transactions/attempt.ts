/**
 * One attempt of a transaction: what it has read, and what it is going to change.
 *
 * A key is read from the segment once; from then on the attempt knows it. Each further read makes sure that the earlier
 * ones still hold, so that all of them are of one state.
 */
import type { Key } from '../arguments/keys.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { isBytes } from '../codec/codec.ts'
import type { ValueEncoder } from '../codec/codec.ts'
import { CacheError } from '../errors.ts'
import { native } from '../engine/engine.ts'
import type { NativeChange, NativeCheck } from '../native/addon.ts'
import { GetFlag, MetaFloat, MetaInt } from '../native/layout.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { textOf } from '../portable/keys.ts'
import type { NativeCalls, RawAccess } from '../segment/calls.ts'
import type { SegmentHandle } from '../segment/handle.ts'
import { bytesOf } from './contents.ts'
import type { Content } from './contents.ts'

/** What a transaction needs of the cache of a namespace. */
export interface TransactionAccess {
  readonly raw: RawAccess & NativeCalls
  readonly encoder: ValueEncoder
  readonly defaultTtl: Milliseconds
  /** Counts and announces a value that cannot be read; throws if the cache is strict. */
  unreadable(key: Key, error: unknown): undefined
  /** Tells the subscribers of the diagnostics channels about a change that was made. */
  changed(key: Key, isDeleted: boolean): void
}

/** How a change is stored. */
export interface Storing {
  readonly ttl: Milliseconds
  readonly stale: Milliseconds
  readonly tags: readonly string[]
  /** `SetFlag.KeepTtl` and `SetFlag.KeepTags`. */
  readonly flags: number
}

/** A key in an attempt. */
export interface KeyState {
  readonly access: TransactionAccess
  readonly key: Key
  readonly rawKey: RawKey
  /** What the segment has; undefined: it was not asked. */
  read?: { readonly version: number; readonly content: Content | undefined }
  /** What the transaction makes of it; undefined: it stays. */
  change?: { readonly content: Content | undefined; readonly storing: Storing }
}

const READ = GetFlag.Meta | GetFlag.Collections

/** Ends an attempt with reads that are not of one state. */
export class Conflict extends Error {
  constructor() {
    super('the keys that a transaction has read were changed; it runs again')
  }
}

export class Attempt {
  readonly #main: TransactionAccess
  readonly #states = new Map<TransactionAccess, Map<string, KeyState>>()
  /** What was read, in the order of the reads. */
  readonly #checks: NativeCheck[] = []
  #isOver = false

  constructor(main: TransactionAccess) {
    this.#main = main
  }

  /** No more calls: the transaction has ended, or begins again. */
  end(): void {
    this.#isOver = true
  }

  /** The state of a key. */
  state(access: TransactionAccess, key: Key, rawKey: RawKey): KeyState {
    if (this.#isOver) {
      throw new CacheError('ERR_CLOSED', 'the transaction has ended', {
        hint: 'Use tx only in the function that gets it.',
      })
    }
    let states = this.#states.get(access)
    if (states === undefined) this.#states.set(access, (states = new Map()))
    const name = typeof rawKey === 'string' ? rawKey : textOf(rawKey)
    const known = states.get(name)
    if (known !== undefined) return known
    const state: KeyState = { access, key, rawKey }
    states.set(name, state)
    return state
  }

  /** What the key has at this point of the transaction. */
  content(state: KeyState): Content | undefined {
    return state.change === undefined ? this.read(state).content : state.change.content
  }

  /** What the segment has. */
  read(state: KeyState): NonNullable<KeyState['read']> {
    if (state.read !== undefined) return state.read
    const { raw } = state.access
    state.read = readRaw(raw, state.rawKey)
    // A handle that the read has just opened again finds no version of its earlier segment.
    this.#checks.push({ handle: raw.handleId, key: state.rawKey, version: state.read.version })
    if (this.#checks.length > 1 && !native.isUnchanged(this.#main.raw.handleId, this.#checks)) throw new Conflict()
    return state.read
  }

  /** Makes all changes. False: something that was read is not as it was. Native errors come as they are. */
  commit(): boolean {
    const changed = [...this.#states.values()].flatMap((states) => [...states.values()].filter(isChanged))
    // One read is of one state.
    if (changed.length === 0 && this.#checks.length < 2) return true
    if (!native.transact(this.#main.raw.handleId, this.#checks, changed.map(nativeChange))) return false
    for (const { access, key, change } of changed) access.changed(key, change?.content === undefined)
    return true
  }

  /** Opens the segment again where it was lost. */
  reopen(): void {
    for (const { raw } of [this.#main, ...this.#states.keys()]) raw.write((id) => native.size(id))
  }
}

function isChanged({ change }: KeyState): boolean {
  return change !== undefined
}

function nativeChange({ access, rawKey, change }: KeyState): NativeChange {
  const { ttl = 0, stale = 0, tags = [], flags = 0 } = change?.storing ?? {}
  const common = { handle: access.raw.handleId, key: rawKey, ttl, stale, flags, tags: [...tags] }
  const content = change?.content
  if (content === undefined) return { ...common, kind: 0 }
  return { ...common, kind: content.kind, value: bytesOf(content) }
}

/** Reads a key with its version; 0: there is no entry. */
function readRaw(raw: RawAccess, rawKey: RawKey): NonNullable<KeyState['read']> {
  let found = raw.live().get(rawKey, READ)
  // A value may be null.
  if (found === undefined) found = raw.again('write', 'get', rawKey, READ)
  if (found === undefined) return { version: 0, content: undefined }
  const { ints, floats, scratch } = raw.live()
  const version = floats[MetaFloat.Version] as number
  const kind = ints[MetaInt.Kind] as number
  if (!isBytes(kind)) return { version, content: { kind, found } }
  if (ints[MetaInt.Large] !== 0) return readLarge(raw, rawKey)
  return { version, content: { kind, found: Buffer.from(scratch.subarray(0, found as number)) } }
}

/** Bytes that do not fit the scratch memory. The entry may change until it is read again. */
function readLarge(raw: RawAccess, rawKey: RawKey): NonNullable<KeyState['read']> {
  for (let handle: SegmentHandle = raw.live(); ; handle = raw.live()) {
    const target = Buffer.allocUnsafeSlow(handle.dimensions().maxEntrySize)
    const flags = READ | GetFlag.Peek
    const length = handle.getInto(rawKey, target, flags) ?? raw.again('write', 'getInto', rawKey, target, flags)
    if (length === undefined) return { version: 0, content: undefined }
    const { ints, floats } = raw.live()
    const kind = ints[MetaInt.Kind] as number
    const version = floats[MetaFloat.Version] as number
    if (!isBytes(kind)) return readRaw(raw, rawKey)
    // A resize may just have raised the maximum.
    if (length <= target.length) return { version, content: { kind, found: Buffer.from(target.subarray(0, length)) } }
  }
}
