/**
 * Walks over the index: keys, entries, and deletion by prefix, as steps of at most about a millisecond.
 *
 * A synchronous walk runs all steps in a row. An asynchronous one lets the event loop turn as soon as a millisecond has
 * passed since the last turn, so it delays no other work of the process for long. No lock is held between two steps.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { givenKey } from '../arguments/keys.ts'
import type { Key } from '../arguments/keys.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { native } from '../engine/engine.ts'
import { CacheError } from '../errors.ts'
import { GetFlag } from '../native/layout.ts'
import type { NativeDeletion, NativePage } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import type { NativeCalls } from '../segment/calls.ts'
import type { Reading } from './reading.ts'
import type { Walk } from './store.ts'

/** Keys of one page. */
const PAGE_SIZE = 256

/** The time after which an asynchronous walk lets the event loop turn. */
const MAX_RUN: Milliseconds = 1

/** What an asynchronous walk needs of the event loop. */
export interface Pace {
  now(): Milliseconds
  /** Resolves when the event loop has turned. Keeps the process alive until then. */
  turn(): Promise<unknown>
}

const EVENT_LOOP: Pace = { now: () => performance.now(), turn: () => nextTurn() }

/**
 * The keys that start with `prefix`, of entries with one of `tags` if there are some, and undefined after each native call. The walk ends with the segment in which it
 * began.
 */
export function* keySteps(
  calls: NativeCalls,
  handleId: number,
  prefix: RawKey,
  tags: readonly string[],
): Generator<Key | undefined, undefined> {
  let next: number | undefined = 0
  while (next !== undefined) {
    const cursor: number = next
    const page: NativePage | undefined = calls.read((id) =>
      // A cursor is valid for one segment only.
      id === handleId ? native.keys(id, cursor, prefix, tags, PAGE_SIZE) : undefined,
    )
    if (page === undefined) return
    for (const key of page.keys) yield givenKey(key)
    yield undefined
    next = page.next
  }
}

/**
 * Keys with their values; undefined for a key that was removed meanwhile or has a collection, and where `keys` has
 * undefined.
 */
export function* entrySteps<V>(
  reading: Reading<V>,
  keys: Iterable<Key | undefined>,
): Generator<[Key, V] | undefined, undefined> {
  for (const key of keys) {
    const value = key === undefined ? undefined : peek(reading, key)
    yield key === undefined || value === undefined ? undefined : [key, value]
  }
}

function peek<V>(reading: Reading<V>, key: Key): V | undefined {
  try {
    return reading.read('read', key, GetFlag.Peek)
  } catch (error) {
    if (error instanceof CacheError && error.code === 'ERR_WRONG_TYPE') return undefined
    throw error
  }
}

/** Deletes the entries with keys that start with `prefix`; each step yields the number of deleted ones. */
export function* deletionSteps(calls: NativeCalls, prefix: RawKey): Generator<number, undefined> {
  let handle = calls.handleId
  let next: number | undefined = 0
  while (next !== undefined) {
    const cursor: number = next
    const step: NativeDeletion = calls.write((id) => {
      // A cursor is valid for one segment only. The segment that has the name now is walked from its beginning.
      const from = id === handle ? cursor : 0
      handle = id
      return native.deletePrefix(id, from, prefix)
    })
    yield step.deleted
    next = step.next
  }
}

/** A walk of both kinds over the results of the steps. */
export function walkOver<T>(
  steps: Generator<T | undefined, undefined>,
  signal: AbortSignal | undefined,
  pace: Pace = EVENT_LOOP,
): Walk<T> {
  return Object.assign(inOneRun(steps, signal), { [Symbol.asyncIterator]: () => inTurns(steps, signal, pace) })
}

function* inOneRun<T>(
  steps: Iterable<T | undefined>,
  signal: AbortSignal | undefined,
): Generator<T, undefined, undefined> {
  for (const step of steps) {
    signal?.throwIfAborted()
    if (step !== undefined) yield step
  }
}

/** The results of the steps, with turns of the event loop in between. */
export async function* inTurns<T>(
  steps: Iterable<T | undefined>,
  signal: AbortSignal | undefined,
  pace: Pace = EVENT_LOOP,
): AsyncGenerator<T, undefined, undefined> {
  let since = pace.now()
  for (const step of steps) {
    // The time also counts what the caller does with a result before it asks for the next.
    if (pace.now() - since >= MAX_RUN) {
      await pace.turn()
      since = pace.now()
    }
    signal?.throwIfAborted()
    if (step !== undefined) yield step
  }
}
