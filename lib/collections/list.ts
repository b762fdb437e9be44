/**
 * Lists: values in an order under one key.
 */
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { invalid } from '../errors.ts'
import { CollectionRequest } from '../native/layout.ts'
import { checkCount, checkIndex } from './checks.ts'
import { Collection } from './collection.ts'
import { request } from './request.ts'

/** Options of `SharedList.push` and `unshift`. */
export interface PushOptions {
  /** The maximum length: as many items leave at the other end as exceed it. Default: no maximum. */
  max?: number | undefined
}

const PUSH = accepted<PushOptions>('SharedList.pushMany', { max: true })

/**
 * A list: values in an order under one key, shared by all processes. Each call is one atomic change, so each item is
 * popped by one caller only.
 *
 * A list exists as long as it has an item. It counts as one entry: it is evicted, expires, is tagged and cleared as a
 * whole, and takes at most `maxEntrySize` bytes. A change takes time in proportion to its size; see the guide.
 * Negative positions count from the end, as in `Array.prototype.at`. Items are equal if they are stored alike.
 *
 * Methods throw `ERR_WRONG_TYPE` if the key has another kind of entry, and what `set` throws.
 *
 * @example
 * const log = cache.list('log')
 * log.pushMany(['started'], { max: 100 })
 * log.at(-1) // 'started'
 */
export class SharedList<V = unknown> extends Collection implements Iterable<V> {
  /** Adds items at the end. Returns the new length. */
  push(...items: V[]): number {
    return this.#push(false, items)
  }

  /** Adds items at the front, in their order. Returns the new length. */
  unshift(...items: V[]): number {
    return this.#push(true, items)
  }

  /**
   * As `push`, with a maximum length.
   *
   * @throws {CacheError} `ERR_INVALID_ARGUMENT` unless `max` is a whole number of at least 1.
   * @example
   * cache.list('log').pushMany(lines, { max: 1000 })
   */
  pushMany(items: Iterable<V>, options?: PushOptions): number {
    return this.#push(false, [...items], options)
  }

  /** As `unshift`, with a maximum length. */
  unshiftMany(items: Iterable<V>, options?: PushOptions): number {
    return this.#push(true, [...items], options)
  }

  /** Removes the last item and returns it; undefined if there is none. */
  pop(): V | undefined {
    return this.popMany(1)[0]
  }

  /** Removes the first item and returns it; undefined if there is none. */
  shift(): V | undefined {
    return this.shiftMany(1)[0]
  }

  /** Removes up to `count` items from the end and returns them, the last one first. */
  popMany(count: number): V[] {
    return this.#pop(false, count).toReversed()
  }

  /** Removes up to `count` items from the front and returns them in their order. */
  shiftMany(count: number): V[] {
    return this.#pop(true, count)
  }

  /** The item at a position, or undefined. */
  at(index: number): V | undefined {
    const position = checkIndex(index)
    // Behind the last position from the end comes no position, but the end.
    return this.slice(position, position === -1 ? Infinity : position + 1)[0]
  }

  /** Items from `start` to before `end`, as in `Array.prototype.slice`. */
  slice(start = 0, end = Infinity): V[] {
    const asked = request(CollectionRequest.Slice).flag(false).number(checkIndex(start)).number(checkIndex(end))
    return (this.ask('read', asked)?.rest() ?? []).map(({ key }) => key as V)
  }

  /**
   * Replaces the item at a position. Returns false if there is no such position.
   *
   * @example
   * cache.list('log').set(-1, 'ended')
   */
  set(index: number, item: V): boolean {
    const key = this.item(item)
    return this.change(request(CollectionRequest.SetAt).number(checkIndex(index)).element({ key })).byte() === 1
  }

  /** Puts an item before the first one that equals `pivot`. Returns the new length; -1 if there is no `pivot`. */
  insertBefore(pivot: V, item: V): number {
    return this.#insert(false, pivot, item)
  }

  /** Puts an item behind the first one that equals `pivot`. Returns the new length; -1 if there is no `pivot`. */
  insertAfter(pivot: V, item: V): number {
    return this.#insert(true, pivot, item)
  }

  /** The position of the first equal item from `from` on; -1 if there is none. */
  indexOf(item: V, from = 0): number {
    const key = this.item(item)
    return (
      this.ask('read', request(CollectionRequest.IndexOf).number(checkIndex(from)).element({ key }))?.number() ?? -1
    )
  }

  /** Whether there is an equal item. */
  includes(item: V): boolean {
    return this.indexOf(item) !== -1
  }

  /**
   * Removes equal items. Returns their number.
   *
   * @param count At most so many, from the front; below 0 from the end. Default: all.
   */
  remove(item: V, count = 0): number {
    const key = this.item(item)
    return this.change(request(CollectionRequest.Remove).number(checkIndex(count)).element({ key })).count()
  }

  /** Keeps the items from `start` to before `end` only. Returns the number of removed ones. */
  trim(start: number, end = Infinity): number {
    const asked = request(CollectionRequest.Trim).flag(true).number(checkIndex(start)).number(checkIndex(end))
    return this.change(asked).count()
  }

  /** All items, of one moment. */
  toArray(): V[] {
    return this.all().map(({ key }) => key as V)
  }

  /** The items, in pages: a change at the front meanwhile moves the others, so one may be met twice or not at all. */
  *values(): Generator<V> {
    for (const { key } of this.pages()) yield key as V
  }

  /** As `values`. */
  [Symbol.iterator](): Generator<V> {
    return this.values()
  }

  #push(front: boolean, items: readonly V[], options?: PushOptions): number {
    checkOptions(options, PUSH)
    const max = options?.max ?? 0
    if (options?.max !== undefined && (!Number.isSafeInteger(max) || max < 1)) {
      throw invalid('max must be a whole number of at least 1', options.max)
    }
    const elements = items.map((item) => ({ key: this.item(item) }))
    return this.change(request(CollectionRequest.Push).flag(front).count(max).elements(elements)).count()
  }

  #pop(front: boolean, count: number): V[] {
    const reply = this.change(request(CollectionRequest.Pop).flag(front).count(checkCount(count)))
    return reply.rest().map(({ key }) => key as V)
  }

  #insert(after: boolean, pivot: V, item: V): number {
    const keys = [this.item(pivot), this.item(item)]
    return this.change(request(CollectionRequest.Insert).flag(after).keys(keys)).number()
  }
}
