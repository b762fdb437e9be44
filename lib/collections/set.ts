/**
 * Sets: different values under one key.
 */
import { CollectionRequest } from '../native/layout.ts'
import { checkCount, seed } from './checks.ts'
import { Collection } from './collection.ts'
import { request } from './request.ts'

/**
 * A set: different values under one key, shared by all processes. Each call is one atomic change.
 *
 * A set exists as long as it has a member. It counts as one entry: it is evicted, expires, is tagged and cleared as a
 * whole, and takes at most `maxEntrySize` bytes. A change takes time in proportion to its size; see the guide.
 * Members are values that `set` takes; they are equal if they are stored alike, so `{ a: 1, b: 2 }` and
 * `{ b: 2, a: 1 }` are two. They come in the order of their bytes.
 *
 * Methods throw `ERR_WRONG_TYPE` if the key has another kind of entry, and what `set` throws.
 *
 * @example
 * const online = cache.setOf<string>('online')
 * online.add('ada', 'grace')
 * online.has('ada') // true
 */
export class SharedSet<V = unknown> extends Collection implements Iterable<V> {
  /** Adds members. Returns the number of those that are new. */
  add(...members: V[]): number {
    const elements = members.map((member) => ({ key: this.item(member) }))
    if (elements.length === 0) return 0
    return this.change(request(CollectionRequest.Put).byte(0).elements(elements)).count()
  }

  /** Removes members. Returns the number of those that were there. */
  delete(...members: V[]): number {
    const keys = members.map((member) => this.item(member))
    return keys.length === 0 ? 0 : this.change(request(CollectionRequest.Delete).keys(keys)).count()
  }

  /** Whether a value is a member. */
  has(member: V): boolean {
    return this.hasMany([member])[0] === true
  }

  /** Whether each of the values is a member, all of one moment. */
  hasMany(members: readonly V[]): boolean[] {
    const keys = members.map((member) => this.item(member))
    const reply = keys.length === 0 ? undefined : this.ask('read', request(CollectionRequest.Has).keys(keys))
    return keys.map(() => reply?.byte() === 1)
  }

  /** Up to `count` different members, picked by chance. */
  sample(count = 1): V[] {
    const asked = request(CollectionRequest.Sample).count(checkCount(count)).count(seed())
    return (this.ask('read', asked)?.rest() ?? []).map(({ key }) => key as V)
  }

  /** Removes a member by chance and returns it; undefined if there is none. */
  pop(): V | undefined {
    return this.popMany(1)[0]
  }

  /** Removes up to `count` members by chance and returns them. */
  popMany(count: number): V[] {
    const asked = request(CollectionRequest.TakeSample).count(checkCount(count)).count(seed())
    return this.change(asked)
      .rest()
      .map(({ key }) => key as V)
  }

  /** All members, of one moment. */
  toSet(): Set<V> {
    return new Set(this.all().map(({ key }) => key as V))
  }

  /** The members, in pages: one that is added or removed meanwhile may be met or not. */
  *values(): Generator<V> {
    for (const { key } of this.pages()) yield key as V
  }

  /** As `values`. */
  keys(): Generator<V> {
    return this.values()
  }

  /** As `values`. */
  [Symbol.iterator](): Generator<V> {
    return this.values()
  }
}
