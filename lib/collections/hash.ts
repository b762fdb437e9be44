/**
 * Hashes: fields with values under one key.
 */
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { resolveTtl } from '../arguments/options.ts'
import type { Duration, Milliseconds } from '../arguments/units.ts'
import { CacheError, invalid, show } from '../errors.ts'
import { CollectionRequest } from '../native/layout.ts'
import { Collection } from './collection.ts'
import { fieldItem } from './items.ts'
import type { Item } from './items.ts'
import { request } from './request.ts'

/** Options of `SharedHash.set` and `setMany`. */
export interface FieldOptions {
  /** The lifetime of the field, in milliseconds or as `'5m'`. Default: it has no end of its own. */
  ttl?: Duration | undefined
  /** Store only fields that are missing, or only fields that exist. Default: all. */
  if?: 'absent' | 'present' | undefined
}

const SET = accepted<FieldOptions>('SharedHash.set', { ttl: true, if: true })
const ONLY = { absent: 1, present: 2 } as const

/**
 * A hash: fields with values under one key, shared by all processes. Each call is one atomic change.
 *
 * A hash exists as long as it has a field. It counts as one entry: it is evicted, expires, is tagged and cleared as a
 * whole, and takes at most `maxEntrySize` bytes. A change takes time in proportion to its size; see the guide.
 * Fields are strings of at least one character; values are those that `set` takes. Fields come in the order of their
 * UTF-8 bytes.
 *
 * Methods throw `ERR_WRONG_TYPE` if the key has another kind of entry, and what `set` throws.
 *
 * @example
 * const user = cache.hash('user:1')
 * user.set('name', 'Ada')
 * user.incr('visits')
 * user.toObject() // { name: 'Ada', visits: 1 }
 */
export class SharedHash<V = unknown> extends Collection implements Iterable<[string, V]> {
  /**
   * The value of a field, or undefined.
   *
   * @example
   * cache.hash('user:1').get('name')
   */
  get(field: string): V | undefined {
    return this.getMany([field])[0]
  }

  /** The values of fields, all of one moment; undefined for those that are missing. */
  getMany(fields: readonly string[]): (V | undefined)[] {
    const keys = fieldItems(fields)
    const reply = keys.length === 0 ? undefined : this.ask('read', request(CollectionRequest.Get).keys(keys))
    return reply === undefined
      ? keys.map(() => undefined)
      : reply.each(keys).map((found) => found?.value as V | undefined)
  }

  /** Whether there is such a field. */
  has(field: string): boolean {
    return this.ask('read', request(CollectionRequest.Has).element({ key: checkField(field) }))?.byte() === 1
  }

  /**
   * Sets a field. A field that existed loses its lifetime, unless `ttl` gives it a new one.
   *
   * @returns Whether it was stored: false if the condition `if` did not hold.
   * @throws {CacheError} `ERR_VALUE_TOO_LARGE` if the hash would exceed `maxEntrySize`; it stays as it was. As `set`.
   * @example
   * user.set('token', token, { ttl: '10m' })
   */
  set(field: string, value: V, options?: Duration | FieldOptions): boolean {
    return this.#put([[field, value]], options).stored === 1
  }

  /**
   * Sets fields in one step.
   *
   * @returns The number of fields that are new.
   */
  setMany(
    fields: Readonly<Record<string, V>> | Iterable<readonly [string, V]>,
    options?: Duration | FieldOptions,
  ): number {
    const entries = isIterable(fields) ? [...fields] : Object.entries(fields)
    return this.#put(entries, options).added
  }

  /** Deletes fields. Returns the number of those that existed. */
  delete(...fields: string[]): number {
    if (fields.length === 0) return 0
    return this.change(request(CollectionRequest.Delete).keys(fieldItems(fields))).count()
  }

  /** Deletes a field and returns its value; undefined if it was missing. */
  take(field: string): V | undefined {
    const key = checkField(field)
    return this.change(request(CollectionRequest.Take).element({ key })).each([key])[0]?.value as V | undefined
  }

  /**
   * Adds to the number in a field, and returns the sum. A missing field counts as 0.
   *
   * @throws {CacheError} `ERR_NOT_A_NUMBER`, `ERR_OVERFLOW`.
   */
  incr(field: string, by = 1): number {
    if (typeof by !== 'number' || !Number.isFinite(by)) throw invalid('by must be a finite number', by)
    const asked = request(CollectionRequest.Incr).number(by).number(0)
    return this.change(asked.element({ key: checkField(field) })).number()
  }

  /** Milliseconds that a field has left; Infinity if it has no lifetime of its own, undefined if it is missing. */
  ttl(field: string): Milliseconds | undefined {
    const left = this.ask('read', request(CollectionRequest.Ttl).element({ key: checkField(field) }))?.number()
    return left === undefined || left < 0 ? undefined : left
  }

  /**
   * Gives a field a lifetime, or with Infinity none. Returns whether it exists.
   *
   * @throws {CacheError} `ERR_INVALID_TTL`.
   */
  expire(field: string, ttl: Duration): boolean {
    const asked = request(CollectionRequest.Expire).number(resolveTtl(ttl))
    return this.change(asked.element({ key: checkField(field) })).count() === 1
  }

  /** All fields, as an object without a prototype: of one moment. */
  toObject(): Record<string, V> {
    const object = Object.create(null) as Record<string, V>
    for (const { key, value } of this.all()) object[key as string] = value as V
    return object
  }

  /** The fields, in pages: one that is set or deleted meanwhile may be met or not. */
  *keys(): Generator<string> {
    for (const { key } of this.pages()) yield key as string
  }

  /** The values, in pages. */
  *values(): Generator<V> {
    for (const { value } of this.pages()) yield value as V
  }

  /** Fields with their values, in pages. */
  *entries(): Generator<[string, V]> {
    for (const { key, value } of this.pages()) yield [key as string, value as V]
  }

  /** As `entries`. */
  [Symbol.iterator](): Generator<[string, V]> {
    return this.entries()
  }

  #put(fields: readonly (readonly [string, V])[], given?: Duration | FieldOptions): { added: number; stored: number } {
    const options = typeof given === 'object' ? given : { ttl: given }
    checkOptions(options, SET)
    const only = options.if === undefined ? 0 : ONLY[options.if]
    if (only === undefined) throw invalid("if must be 'absent' or 'present'", options.if)
    const ttl = options.ttl === undefined ? 0 : resolveTtl(options.ttl)
    const elements = fields.map(([field, value]) => ({ key: checkField(field), value: this.item(value), ttl }))
    if (elements.length === 0) return { added: 0, stored: 0 }
    const reply = this.change(request(CollectionRequest.Put).byte(only).elements(elements))
    return { added: reply.count(), stored: reply.count() }
  }
}

function fieldItems(fields: readonly string[]): Item[] {
  return fields.map((field) => checkField(field))
}

function checkField(field: unknown): Item {
  if (typeof field !== 'string' || field === '')
    throw invalid('a field must be a string of at least 1 character', field)
  if (!field.isWellFormed()) {
    const hint = 'Call toWellFormed() on the text.'
    throw new CacheError('ERR_INVALID_ARGUMENT', `a field must not contain lone surrogates; got ${show(field)}`, {
      hint,
    })
  }
  return fieldItem(field)
}

function isIterable<T>(value: object): value is Iterable<T> {
  return Symbol.iterator in value
}
