/**
 * The oracle: one sequence of calls on both engines, and a comparison of all answers.
 *
 * Each engine has a segment with a clock that stands still until a call moves it. An answer is compared without what
 * depends on real time, such as `createdAt`.
 */
import { isDeepStrictEqual, inspect } from 'node:util'
import { CacheError, openRegion } from '../../index.ts'
import type { Change, ChannelMessage, Lock, Region, SharedCache } from '../../index.ts'
import { advance } from './internals.ts'
import { within } from './eventually.ts'

/** What the calls of a sequence share on one engine. */
export interface Side {
  readonly engine: 'native' | 'portable'
  readonly root: SharedCache
  /** The same segment, as a version of the application. */
  readonly version: SharedCache
  /** The root, its namespaces, and both of a version, by the number that a call names. */
  readonly caches: readonly SharedCache[]
  /** Held locks and permits, in the order in which they were acquired. */
  readonly locks: Lock[]
  readonly region: Region
  readonly changes: AsyncIterableIterator<Change>
  readonly messages: AsyncIterableIterator<ChannelMessage>
  /** The versions and tokens that answers had, in the order in which they appeared. */
  readonly seen: Map<number, number>
}

/** A call: its name with arguments for reports, and what it does. */
export interface Call {
  readonly text: string
  run(side: Side): unknown
}

/** The answer to a call, in a form that can be compared. */
type Answer =
  | { readonly value: unknown }
  | { readonly code: string; readonly message: string; readonly hint: string | undefined }
  | { readonly error: string }

/** Namespaces beside the root. */
const NAMESPACES = ['red', 'red:deep', 'blue']
/** A tag that no entry has: its invalidation shows where a walk begins and ends. */
const WALK = 'walk'
const WATCHED = { tags: ['t1', 't2', WALK] }
const MARKER = 'marker'
/** The place of a message that was lost. */
const LOST = 'lost'

export function sideOf(engine: Side['engine'], root: SharedCache, version: SharedCache): Side {
  return {
    engine,
    root,
    version,
    caches: [root, ...NAMESPACES.map((name) => root.namespace(name)), version, version.namespace('red')],
    locks: [],
    region: openRegion({ engine, cache: root.name, name: 'bytes', size: 64 }),
    changes: root.watch(WATCHED),
    messages: root.subscribe('news', { buffer: 5 }),
    seen: new Map([[0, 0]]),
  }
}

/** Makes the calls on both sides. Throws at the first answer that differs. */
export async function compare(sides: readonly [Side, Side], calls: readonly Call[]): Promise<void> {
  for (const [index, call] of calls.entries()) {
    const [native, portable] = [await answerOf(call, sides[0]), await answerOf(call, sides[1])]
    check(`call ${index}, ${call.text}`, native, portable)
  }
  check('counts', countsOf(sides[0].root), countsOf(sides[1].root))
  for (const [index, cache] of sides[0].caches.entries()) {
    check(`keys of ${index}`, sorted(cache.keys()), sorted((sides[1].caches[index] as SharedCache).keys()))
  }
  await checkChanges(sides)
  checkMessages(await messagesOf(sides[0]), await messagesOf(sides[1]))
}

async function answerOf({ run }: Call, side: Side): Promise<Answer> {
  try {
    return { value: shown(await run(side), side) }
  } catch (error) {
    if (error instanceof CacheError) return { code: error.code, message: error.message, hint: error.hint }
    return { error: String(error) }
  }
}

function check(what: string, native: unknown, portable: unknown): void {
  if (isDeepStrictEqual(native, portable)) return
  const text = (value: unknown): string => inspect(value, { depth: 6, breakLength: 120 })
  throw new Error(`${what}:\nnative   ${text(native)}\nportable ${text(portable)}`)
}

/**
 * An answer without the moments of real time. Versions and tokens only promise to grow, so each becomes its place in the
 * order in which they appeared.
 */
function shown(value: unknown, side: Side): unknown {
  if (value instanceof Uint8Array) return [value.constructor.name, ...value]
  if (Array.isArray(value)) return value.map((item) => shown(item, side))
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date || value instanceof Map || value instanceof Set) return value
  const entries = Object.entries(value).filter(([name]) => !TIMES.has(name))
  return Object.fromEntries(
    entries.map(([name, field]) => [name, NUMBERS.has(name) ? placeOf(field as number, side) : shown(field, side)]),
  )
}

function placeOf(number: number, { seen }: Side): number {
  const place = seen.get(number) ?? seen.size
  seen.set(number, place)
  return place
}

const TIMES: ReadonlySet<string> = new Set(['createdAt', 'expiresAt'])
const NUMBERS: ReadonlySet<string> = new Set(['version', 'token'])

/** The counts that both engines promise. Entries that have ended count until they are swept. */
function countsOf(cache: SharedCache): unknown {
  const { hits, misses, sets, evictions, busy, repairs, damaged, limitsEvicted, namespaces } = cache.stats()
  const { capacityBytes } = cache.stats()
  return { hits, misses, sets, evictions, busy, repairs, damaged, limitsEvicted, namespaces, capacityBytes }
}

function sorted(keys: Iterable<unknown>): string[] {
  return Array.from(keys, (key) => inspect(key)).sort()
}

/** Items in order, the last of a stream. */
interface Tail<T> {
  readonly items: readonly T[]
  /** Whether items before them were lost. */
  readonly isCut: boolean
}

/** The changes since the last `clear`: the native engine merges clears that follow each other closely. */
async function changesOf(side: Side): Promise<Tail<Change>> {
  const { root, changes, engine } = side
  root.set(MARKER, 1, { tags: ['t1'] })
  let items: Change[] = []
  let isCut = false
  for (;;) {
    const { value } = await within(`the marker of ${engine} changes`, changes.next())
    if (value === undefined) throw new Error('the changes ended')
    const { type, key, lost } = value
    // The number of lost changes is a rough one.
    if (type === 'clear' || lost > 0) {
      items = []
      isCut = lost > 0
    }
    if (key === MARKER) break
    // An entry is reported as expired when it is swept.
    if (type !== 'clear' && type !== 'expire' && lost === 0) items.push(value)
  }
  return { items: withSortedWalks(items), isCut }
}

/** Both sides got the same changes. One side loses older ones if its listener's thread does not run in time. */
async function checkChanges([native, portable]: readonly [Side, Side]): Promise<void> {
  const [some, others] = alike(await changesOf(native), await changesOf(portable))
  const all = (changes: readonly Change[], side: Side): unknown[] => changes.map((change) => shown(change, side))
  check('changes', all(some, native), all(others, portable))
}

/** Without the items that the other side has lost. */
function alike<T>(left: Tail<T>, right: Tail<T>): [readonly T[], readonly T[]] {
  const cut = ({ items }: Tail<T>, other: Tail<T>): readonly T[] =>
    other.isCut ? items.slice(-other.items.length || items.length) : items
  return [cut(left, right), cut(right, left)]
}

/** Walks over the entries, which each engine does in an order of its own. */
export function walk<T>({ root }: Side, run: () => T): T {
  root.invalidateTags(WALK)
  try {
    return run()
  } finally {
    root.invalidateTags(WALK)
  }
}

/** The changes of each walk in the order of their keys. A walk without its begin is left out. */
function withSortedWalks(changes: readonly Change[]): Change[] {
  const isBoundary = ({ type, tags }: Change): boolean => type === 'invalidate' && tags?.includes(WALK) === true
  const parts: Change[][] = [[]]
  for (const change of changes) {
    if (isBoundary(change)) parts.push([])
    else parts.at(-1)?.push(change)
  }
  if (parts.length % 2 === 0) parts.shift()
  const name = ({ key }: Change): string => inspect(key)
  return parts.flatMap((part, index) =>
    index % 2 === 0 ? part : part.sort((left, right) => (name(left) < name(right) ? -1 : 1)),
  )
}

/** The published messages in order. A lost one is `LOST`. */
async function messagesOf(side: Side): Promise<unknown[]> {
  const { root, messages } = side
  root.publish('news', MARKER)
  const all: unknown[] = []
  for (;;) {
    const { value } = await within('the marker of messages', messages.next())
    if (value === undefined) throw new Error('the messages ended')
    const { lost, ...message } = value
    all.push(...Array<unknown>(lost).fill(LOST), shown(message, side))
    if (value.message === MARKER) return all
  }
}

/**
 * Both sides got the same messages, each in its place. The listener's thread empties the buffer whenever it runs, so
 * one side may lose a message that the other got.
 */
function checkMessages(native: readonly unknown[], portable: readonly unknown[]): void {
  // If that thread does not run in time, the number of lost messages includes those of other channels.
  if (native.length !== portable.length) return check('messages', ...alike(afterLoss(native), afterLoss(portable)))
  const withLosses = (own: readonly unknown[], other: readonly unknown[]): unknown[] =>
    own.map((message, index) => (other[index] === LOST ? LOST : message))
  check('messages', withLosses(native, portable), withLosses(portable, native))
}

function afterLoss(messages: readonly unknown[]): Tail<unknown> {
  const lost = messages.lastIndexOf(LOST)
  return { items: messages.slice(lost + 1), isCut: lost !== -1 }
}

export function moveClock({ root }: Side, by: number): void {
  advance(root, by)
}
