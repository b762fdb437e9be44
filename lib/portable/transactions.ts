/**
 * The calls of transactions. This engine has one thread, so nothing comes between the checks and the changes.
 */
import type { Native, NativeChange, NativeCheck } from '../native/addon.ts'
import { SetFlag } from '../native/layout.ts'
import { Purpose } from './entry.ts'
import type { Space } from './entry.ts'
import { closed, detached, invalid, noSpace } from './failure.ts'
import { findHandle, withHandle } from './handles.ts'
import { readKey } from './keys.ts'
import type { StoredKey } from './keys.ts'
import type { Segment } from './segment.ts'
import type { Write } from './store.ts'
import { tagsOf } from './tag-identity.ts'
import { storedOf } from './values.ts'

/** As in the core. */
const MAX_KEYS = 1024

/** A key of a transaction. */
interface Place {
  readonly space: Space
  readonly stored: StoredKey
}

export const transactionCalls: Pick<Native, 'isUnchanged' | 'transact'> = {
  transact: (id, checks, changes) => withHandle(id, (segment) => transact(segment, checks, changes)),
  isUnchanged: (id, checks) => withHandle(id, (segment) => holdAll(segment, checks)),
}

function transact(segment: Segment, checks: readonly NativeCheck[], changes: readonly NativeChange[]): boolean {
  if (Math.max(checks.length, changes.length) > MAX_KEYS) {
    throw invalid(`a transaction reads and changes at most ${MAX_KEYS} keys`)
  }
  const { store } = segment
  const places = changes.map(({ handle, key }) => placeOf(segment, handle, key))
  if (new Set(places.map(nameOf)).size < places.length) throw invalid('a transaction changes a key twice')
  const writes = changes.map(writeOf)
  const staged = places.map(({ space, stored }, n) => {
    const write = writes[n]
    if (write !== undefined) store.checkSize(stored, write)
    return { space, key: stored, write }
  })
  if (!store.makeRoomFor(staged)) {
    throw noSpace('a shard has no room for all entries of the transaction, beside those that it replaces')
  }
  if (!holdAll(segment, checks)) return false
  places.forEach(({ space, stored }, n) => {
    segment.outdateFlight(space, stored)
    const write = writes[n]
    if (write !== undefined) {
      if (store.write(space, stored, write) === undefined) throw new Error('room was made and is gone')
      return
    }
    const entry = store.fresh(space, stored.text)
    if (entry !== undefined) store.remove(entry, 'deleted')
  })
  return true
}

function holdAll(segment: Segment, checks: readonly NativeCheck[]): boolean {
  return checks.every(({ handle, key, version }) => {
    const { space, stored } = placeOf(segment, handle, key)
    return (segment.store.fresh(space, stored.text)?.version ?? 0) === version
  })
}

function placeOf(segment: Segment, id: number, key: NativeCheck['key']): Place {
  const handle = findHandle(id)
  if (handle?.segment === undefined) throw closed('cache')
  if (handle.segment !== segment) {
    handle.segment.check()
    segment.check()
    throw detached()
  }
  return { space: segment.store.space(handle.namespace, Purpose.Values, handle.version), stored: readKey(key) }
}

/** The identity of a key in a segment. */
function nameOf({ space, stored }: Place): string {
  return `${space.version}.${space.namespace}.${stored.text}`
}

function writeOf({ value, kind, ttl, stale, flags, tags }: NativeChange): Write | undefined {
  if (value === undefined) return undefined
  return {
    ...storedOf(Buffer.from(value.buffer, value.byteOffset, value.length), kind),
    kind,
    ttl: Math.ceil(ttl),
    stale: Math.ceil(stale),
    tags: tagsOf(tags),
    keepTtl: (flags & SetFlag.KeepTtl) !== 0,
    keepTags: (flags & SetFlag.KeepTags) !== 0,
  }
}
