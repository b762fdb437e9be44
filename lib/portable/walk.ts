/**
 * Walks over the keys of a namespace, page by page. They go from the newest entry to the oldest, so an entry that stays
 * is met exactly once, and one that is added during a walk is not met: a walk ends, whatever is written around it.
 */
import { Kind } from '../native/layout.ts'
import type { NativeDeletion, NativePage } from '../native/addon.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { Purpose } from './entry.ts'
import type { Entry, Space } from './entry.ts'
import { givenForm, prefixTest } from './keys.ts'
import type { Store } from './store.ts'

/** Maximum number of entries that one page or one step of a deletion looks at. */
const MAX_VISITS = 512
/** Maximum number of places that are remembered. Other walks search theirs. */
const MAX_PLACES = 256

/** Where walks go on, by their cursors. */
const places = new WeakMap<Space, Map<number, Entry>>()

/** A page of about `max` keys, of entries with one of `tags` if there are some. A cursor is the order of the entry at which the page starts; 0: the newest. */
export function pageOf(
  store: Store,
  space: Space,
  cursor: number,
  prefix: RawKey,
  tags: readonly string[],
  max: number,
): NativePage {
  const matches = prefixTest(prefix)
  const keys: RawKey[] = []
  let entry = cursor === 0 ? space.last : placeOf(space, cursor)
  let visits = 0
  for (; entry !== undefined; entry = entry.before) {
    // A request for no keys must end as well.
    if (visits > 0 && (keys.length >= max || visits >= MAX_VISITS)) break
    visits++
    const isTagged = tags.length === 0 || entry.tags.some((tag) => tags.includes(tag))
    if (isTagged && entry.live && entry.kind !== Kind.Absent && store.isFresh(entry) && matches(entry.text)) {
      keys.push(givenForm(entry))
    }
  }
  if (entry === undefined) return { keys }
  remember(space, entry)
  return { keys, next: entry.order }
}

/**
 * A step of the deletion of the values with this prefix. The loads of such keys end in the first step. A cursor is the
 * order of the entry at which the step starts; 0: the newest.
 */
export function deletionOf(
  store: Store,
  { namespace, version }: Pick<Space, 'namespace' | 'version'>,
  cursor: number,
  prefix: RawKey,
): NativeDeletion {
  const matches = prefixTest(prefix)
  if (cursor === 0) {
    const flights = store.space(namespace, Purpose.Flights, version)
    for (const flight of flights.entries.values()) if (matches(flight.text)) store.delete(flight)
  }
  const space = store.space(namespace, Purpose.Values, version)
  let entry = cursor === 0 ? space.last : placeOf(space, cursor)
  let deleted = 0
  for (let visits = 0; entry !== undefined && visits < MAX_VISITS; visits++) {
    const { before, text, live } = entry
    if (live && matches(text) && store.delete(entry)) deleted++
    entry = before
  }
  if (entry === undefined) return { deleted }
  remember(space, entry)
  return { deleted, next: entry.order }
}

export function remember(space: Space, entry: Entry): void {
  let known = places.get(space)
  if (known === undefined) places.set(space, (known = new Map()))
  known.delete(entry.order)
  known.set(entry.order, entry)
  const [oldest] = known.keys()
  if (known.size > MAX_PLACES && oldest !== undefined) known.delete(oldest)
}

/** The newest entry that is not newer than the cursor. A removed entry still leads to the older ones. */
export function placeOf(space: Space, cursor: number): Entry | undefined {
  let entry = places.get(space)?.get(cursor) ?? space.last
  while (entry !== undefined && (entry.order > cursor || !entry.live)) entry = entry.before
  return entry
}
