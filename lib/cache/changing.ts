/**
 * Changes that depend on the previous value: compare and swap until no other writer was faster.
 *
 * The value of an entry is read together with its version, and the new value is stored only if the entry still has that
 * version.
 */
import { types } from 'node:util'
import { steadyKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import { UPDATE, resolveSet } from '../arguments/options.ts'
import type { ResolvedSet, UpdateOptions } from '../arguments/options.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { CacheError, invalid, segmentFull, showKey } from '../errors.ts'
import { GetFlag, SetFlag } from '../native/layout.ts'
import type { Connection } from '../segment/connection.ts'
import type { Before, Reading } from './reading.ts'
import type { Writing } from './writing.ts'

/**
 * With `eviction: 'none'` a conditional write fails for two reasons: another writer was faster, or the segment is full.
 * After this many failures in a row without a change of the version, the segment is full.
 */
const MAX_REFUSALS = 100

/** Keeps deadline and tags of the entry. */
const KEPT: ResolvedSet = {
  ttl: 0,
  isOver: false,
  stale: 0,
  tags: [],
  flags: SetFlag.KeepTtl | SetFlag.KeepTags,
  version: 0,
}

/** Checked bounds and start of `incrBigInt`. */
export interface BigIntSum {
  readonly by: bigint
  readonly init: bigint
  readonly min: bigint | undefined
  readonly max: bigint | undefined
  /** 0: none. */
  readonly ttl: Milliseconds
}

/** The changes of one cache. */
export class Changing<V> {
  readonly #connection: Connection
  readonly #reading: Reading<V>
  readonly #writing: Writing<V>

  constructor(connection: Connection, reading: Reading<V>, writing: Writing<V>) {
    this.#connection = connection
    this.#reading = reading
    this.#writing = writing
  }

  /** Stores `value`; returns the previous one. */
  swap(key: Key, value: V, set: ResolvedSet): V | undefined {
    return this.#change(key, () => value, set, set)
  }

  /** Stores what `change` returns for the previous value; returns the new one. */
  update(key: Key, change: (value: V | undefined) => V, { ttl, tags }: UpdateOptions): V {
    let result: V | undefined
    const fresh = resolveSet({ ttl, tags }, this.#writing.defaultTtl, SetFlag.IfVersion, UPDATE)
    this.#change(key, (value) => (result = change(value)), fresh, KEPT)
    return result as V
  }

  /** Adds to the end of a string or of bytes; returns the new length. */
  append(key: Key, addition: string | Uint8Array, options: UpdateOptions): number {
    const whole = this.update(key, (value) => joined(key, value, addition) as V, options)
    return (whole as string | Uint8Array).length
  }

  /** Adds to a bigint; returns the sum. */
  incrBigInt(key: Key, { by, init, min, max, ttl }: BigIntSum): bigint {
    let sum = 0n
    const add = (value: unknown, isThere: boolean): bigint => {
      // Every codec reads bigints, so a value that cannot be read is none.
      if (isThere && typeof value !== 'bigint') {
        const hint = 'incrBigInt works on bigints only. Set the key to a bigint, or delete it, first.'
        throw new CacheError('ERR_NOT_A_NUMBER', `the entry of ${showKey(key)} is not a bigint`, { hint })
      }
      sum = ((value as bigint | undefined) ?? init) + by
      if (min !== undefined && sum < min) sum = min
      if (max !== undefined && sum > max) sum = max
      return sum
    }
    this.#change(key, (value, isThere) => add(value, isThere) as V, { ...KEPT, flags: 0, ttl }, KEPT)
    return sum
  }

  /**
   * Stores what `change` returns; returns the previous value.
   *
   * @param change Gets the previous value, and whether there is an entry. An entry without a value cannot be read.
   * @param fresh How to store for a key without an entry that can be read; its condition is not used.
   * @param over How to replace an entry.
   */
  #change(
    key: Key,
    change: (value: V | undefined, isThere: boolean) => V,
    fresh: ResolvedSet,
    over: ResolvedSet,
  ): V | undefined {
    const steady = steadyKey(key)
    const { encoder } = this.#writing
    for (let refusals = 0; ;) {
      const entry = this.#reading.before(steady, 0)
      const payload = this.#writing.encodeFor(key, change(entry?.value, entry !== undefined))
      const set = conditional(entry, fresh, over)
      if (this.#writing.store(steady, payload, encoder.kind, set)) return entry?.value
      const now = this.#reading.before(steady, GetFlag.Peek)
      // The same version, and yet refused: the segment is full, or the entry was removed and set in between.
      if (now?.version !== entry?.version) refusals = 0
      else if (++refusals === MAX_REFUSALS) {
        throw segmentFull(this.#connection.options.native.name, key)
      }
    }
  }
}

/** An entry that cannot be read is replaced as if there were none, unless it changes meanwhile. */
function conditional(entry: Before<unknown> | undefined, fresh: ResolvedSet, over: ResolvedSet): ResolvedSet {
  if (entry === undefined) return { ...fresh, flags: SetFlag.IfAbsent, version: 0 }
  const { value, version } = entry
  if (value === undefined) return { ...fresh, flags: SetFlag.IfVersion, version }
  return { ...over, flags: over.flags | SetFlag.IfVersion, version }
}

function joined(key: Key, value: unknown, addition: string | Uint8Array): string | Uint8Array {
  if (value === undefined) return addition
  if (typeof value === 'string' && typeof addition === 'string') return value + addition
  if (!types.isUint8Array(value) || typeof addition === 'string') {
    const hint = 'Append what the entry is, or set the key anew.'
    throw invalid(
      `append adds text to text and bytes to bytes, for ${showKey(key)}`,
      value,
      'ERR_INVALID_ARGUMENT',
      hint,
    )
  }
  const whole = Buffer.concat([value, addition])
  return Buffer.isBuffer(value) ? whole : new Uint8Array(whole.buffer, whole.byteOffset, whole.length)
}
