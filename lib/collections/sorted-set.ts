/**
 * Sorted sets: different values, each with a score, under one key.
 */
import { accepted, checkOptions } from '../arguments/option-names.ts'
import { invalid } from '../errors.ts'
import { CollectionRequest } from '../native/layout.ts'
import { Collection } from './collection.ts'
import { request } from './request.ts'
import type { RequestWriter } from './request.ts'
import { checkCount, checkIndex, seed } from './checks.ts'

/** A member with its score. */
export type Scored<V> = [member: V, score: number]

/** Options of `SharedSortedSet.add`, `addMany` and `incr`. */
export interface AddOptions {
  /** Change only members that are missing, or only those that exist. Default: both. */
  if?: 'absent' | 'present' | undefined
  /** Change the score of a member only if the new one is greater, or less. New members are added all the same. */
  only?: 'greater' | 'less' | undefined
}

/** Options of `SharedSortedSet.range`. */
export interface RankOptions {
  /** Count from the highest score on, and return members in this order. Default: false. */
  reverse?: boolean | undefined
}

/** Options of `SharedSortedSet.rangeByScore`. */
export interface ScoreRangeOptions extends RankOptions {
  /** Leave out members with the score `min` itself. Default: false. */
  withoutMin?: boolean | undefined
  /** Leave out members with the score `max` itself. Default: false. */
  withoutMax?: boolean | undefined
  /** Members to skip. Default: 0. */
  offset?: number | undefined
  /** The maximum number of members. Default: all. */
  limit?: number | undefined
}

/** Options of `SharedSortedSet.countByScore` and `deleteByScore`. */
export type ScoreOptions = Pick<ScoreRangeOptions, 'withoutMin' | 'withoutMax'>

const ADD = accepted<AddOptions>('SharedSortedSet.add', { if: true, only: true })
const RANGE = accepted<RankOptions>('SharedSortedSet.range', { reverse: true })
const BY_SCORE = accepted<ScoreRangeOptions>('SharedSortedSet.rangeByScore', {
  reverse: true,
  withoutMin: true,
  withoutMax: true,
  offset: true,
  limit: true,
})
const SCORES = accepted<ScoreOptions>('SharedSortedSet.countByScore', { withoutMin: true, withoutMax: true })
const IF = { absent: 1, present: 2 } as const
const ONLY = { greater: 4, less: 8 } as const

/**
 * A sorted set: different values under one key, each with a score, in the order of their scores; members with equal
 * scores are in the order of their bytes. Shared by all processes; each call is one atomic change.
 *
 * A sorted set exists as long as it has a member. It counts as one entry: it is evicted, expires, is tagged and cleared
 * as a whole, and takes at most `maxEntrySize` bytes. A change takes time in proportion to its size; see the guide.
 * Members are values that `set` takes; they are equal if they are stored alike. Scores are numbers, also infinite ones.
 *
 * Methods throw `ERR_WRONG_TYPE` if the key has another kind of entry, and what `set` throws.
 *
 * @example
 * const board = cache.sortedSet<string>('scores')
 * board.add('ada', 10)
 * board.incr('grace', 12)
 * board.range(0, 3, { reverse: true }) // [['grace', 12], ['ada', 10]]
 */
export class SharedSortedSet<V = unknown> extends Collection implements Iterable<Scored<V>> {
  /** Adds a member, or changes its score. Returns whether it is new. */
  add(member: V, score: number, options?: AddOptions): boolean {
    return this.#add([[member, score]], options).added === 1
  }

  /** Adds members or changes their scores in one step. Returns the numbers of new members and of changed scores. */
  addMany(members: Iterable<readonly [V, number]>, options?: AddOptions): { added: number; changed: number } {
    return this.#add([...members], options)
  }

  /**
   * Adds to the score of a member, which counts as 0 if it is missing. Returns the new score; undefined if the
   * conditions of `options` do not hold.
   *
   * @throws {CacheError} `ERR_OVERFLOW` if the sum is no number, as of Infinity and -Infinity.
   */
  incr(member: V, by = 1, options?: AddOptions): number | undefined {
    const key = this.item(member)
    const asked = request(CollectionRequest.IncrScore).byte(flagsOf(options)).number(checkScore(by))
    const score = this.change(asked.element({ key })).number()
    return Number.isNaN(score) ? undefined : score
  }

  /** Removes members. Returns the number of those that were there. */
  delete(...members: V[]): number {
    const keys = members.map((member) => this.item(member))
    return keys.length === 0 ? 0 : this.change(request(CollectionRequest.Delete).keys(keys)).count()
  }

  /** The score of a member; undefined if it is missing. */
  score(member: V): number | undefined {
    return this.scores([member])[0]
  }

  /** The scores of members, all of one moment. */
  scores(members: readonly V[]): (number | undefined)[] {
    const keys = members.map((member) => this.item(member))
    const reply = keys.length === 0 ? undefined : this.ask('read', request(CollectionRequest.Get).keys(keys))
    return reply === undefined ? keys.map(() => undefined) : reply.each(keys).map((found) => found?.score)
  }

  /** Whether a value is a member. */
  has(member: V): boolean {
    return this.score(member) !== undefined
  }

  /** The position of a member by score, from 0 on; undefined if it is missing. */
  rank(member: V, options?: RankOptions): number | undefined {
    checkOptions(options, RANGE)
    const key = this.item(member)
    const asked = request(CollectionRequest.Rank)
      .flag(options?.reverse === true)
      .element({ key })
    const rank = this.ask('read', asked)?.number() ?? -1
    return rank < 0 ? undefined : rank
  }

  /** Members with their scores by position, from `start` to before `end`. Negative positions count from the end. */
  range(start = 0, end = Infinity, options?: RankOptions): Scored<V>[] {
    checkOptions(options, RANGE)
    const reverse = options?.reverse === true
    const asked = request(CollectionRequest.Slice).flag(reverse).number(checkIndex(start)).number(checkIndex(end))
    return this.#scored(asked, reverse)
  }

  /** Members with their scores, from the score `min` to the score `max`. */
  rangeByScore(min: number, max: number, options?: ScoreRangeOptions): Scored<V>[] {
    checkOptions(options, BY_SCORE)
    const { reverse = false, offset = 0, limit = Infinity } = options ?? {}
    checkCount(offset)
    if (limit !== Infinity) checkCount(limit)
    const asked = scores(request(CollectionRequest.ByScore).flag(reverse), min, max, options)
    return this.#scored(asked.count(offset).count(limit), reverse)
  }

  /** The number of members from the score `min` to the score `max`. */
  countByScore(min: number, max: number, options?: ScoreOptions): number {
    checkOptions(options, SCORES)
    return this.ask('read', scores(request(CollectionRequest.CountByScore), min, max, options))?.count() ?? 0
  }

  /** Removes the members from the score `min` to the score `max`. Returns their number. */
  deleteByScore(min: number, max: number, options?: ScoreOptions): number {
    checkOptions(options, SCORES)
    return this.change(scores(request(CollectionRequest.DeleteByScore), min, max, options)).count()
  }

  /** Removes the members at positions from `start` to before `end`. Returns their number. */
  deleteRange(start: number, end = Infinity): number {
    const asked = request(CollectionRequest.Trim).flag(false).number(checkIndex(start)).number(checkIndex(end))
    return this.change(asked).count()
  }

  /** Removes up to `count` members with the lowest scores and returns them. */
  popMin(count = 1): Scored<V>[] {
    return this.#pop(true, count)
  }

  /** Removes up to `count` members with the highest scores and returns them, the highest first. */
  popMax(count = 1): Scored<V>[] {
    return this.#pop(false, count).toReversed()
  }

  /** Up to `count` different members, picked by chance. */
  sample(count = 1): Scored<V>[] {
    return this.#scored(request(CollectionRequest.Sample).count(checkCount(count)).count(seed()), false)
  }

  /** All members with their scores, of one moment. */
  toArray(): Scored<V>[] {
    return this.all().map(({ key, score }) => [key as V, score])
  }

  /** Members with their scores, in pages: a change meanwhile may move members. */
  *entries(): Generator<Scored<V>> {
    for (const { key, score } of this.pages()) yield [key as V, score]
  }

  /** As `entries`. */
  [Symbol.iterator](): Generator<Scored<V>> {
    return this.entries()
  }

  #add(members: readonly (readonly [V, number])[], options?: AddOptions): { added: number; changed: number } {
    const flags = flagsOf(options)
    const elements = members.map(([member, score]) => ({ key: this.item(member), score: checkScore(score) }))
    if (elements.length === 0) return { added: 0, changed: 0 }
    const reply = this.change(request(CollectionRequest.Add).byte(flags).elements(elements))
    return { added: reply.count(), changed: reply.count() }
  }

  #pop(lowest: boolean, count: number): Scored<V>[] {
    const reply = this.change(request(CollectionRequest.Pop).flag(lowest).count(checkCount(count)))
    return reply.rest().map(({ key, score }) => [key as V, score])
  }

  #scored(asked: RequestWriter, reverse: boolean): Scored<V>[] {
    const found = this.ask('read', asked)?.rest() ?? []
    const scored = found.map(({ key, score }): Scored<V> => [key as V, score])
    return reverse ? scored.toReversed() : scored
  }
}

function flagsOf(options: AddOptions | undefined): number {
  checkOptions(options, ADD)
  const condition = options?.if === undefined ? 0 : IF[options.if]
  if (condition === undefined) throw invalid("if must be 'absent' or 'present'", options?.if)
  const direction = options?.only === undefined ? 0 : ONLY[options.only]
  if (direction === undefined) throw invalid("only must be 'greater' or 'less'", options?.only)
  return condition | direction
}

/** -0 becomes 0. */
function checkScore(score: unknown): number {
  if (typeof score !== 'number' || Number.isNaN(score)) throw invalid('a score must be a number', score)
  return score + 0
}

function scores(asked: RequestWriter, min: number, max: number, options: ScoreOptions | undefined): RequestWriter {
  const flags = (options?.withoutMin === true ? 1 : 0) | (options?.withoutMax === true ? 2 : 0)
  return asked.byte(flags).number(checkScore(min)).number(checkScore(max))
}
