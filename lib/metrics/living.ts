/**
 * Gauges that sum living caches only: each open cache has a part of its own of a series, and a read adds up the parts
 * of the caches that are open in living threads.
 *
 * ```text
 * part    key: name{labels}@token     the record of a gauge; the key of an ordinary series ends with the brace
 * ```
 *
 * A cache holds a lock on its token as long as it is open. The lease of its process decides whether that lock is still
 * held, so a part ends with its process, its thread or its cache, in any PID namespace. Pids would not do: in
 * containers, every process may be number 1.
 *
 * A token is used once. So a part stays dead if the lock on its token is free, and the read that finds it deletes it.
 */
import { randomBytes } from 'node:crypto'
import { isDetached } from '../errors.ts'
import type { NativeCalls } from '../segment/calls.ts'
import { native } from '../engine/engine.ts'
import type { NativeMetric } from '../native/addon.ts'
import { Keyspace, PermitState } from '../native/layout.ts'

/** The token of an open cache. */
interface Presence {
  readonly handle: number
  readonly token: string
  /** The number by which the native side knows the lock on the token. */
  readonly permit: number
}

const presences = new WeakMap<object, Presence>()

/** The key of the part that this cache has of a series. Its token is new if the segment was opened again. */
export function partKey(calls: Pick<NativeCalls, 'write'>, key: string): string {
  const { token } = calls.write((id) => {
    const known = presences.get(calls)
    if (known?.handle === id && native.permitIsHeld(id, Keyspace.Locks, lockOf(known.token), known.permit)) return known
    const fresh = randomBytes(12).toString('base64url')
    const { number: permit } = native.permitAcquire(id, Keyspace.Locks, lockOf(fresh), 1, 0, false)
    const presence = { handle: id, token: fresh, permit }
    presences.set(calls, presence)
    return presence
  })
  return `${key}@${token}`
}

/** All metrics of the handle's namespace. The living parts of a series are added up; the others are deleted. */
export function readMetrics(id: number): NativeMetric[] {
  const found = new Map<string, NativeMetric>()
  const parts = new Map<string, NativeMetric[]>()
  for (const metric of native.metricsAll(id)) {
    const token = tokenOf(metric.key)
    if (token === undefined) found.set(metric.key, metric)
    else parts.set(token, [...(parts.get(token) ?? []), metric])
  }
  for (const [token, own] of parts) {
    if (endDead(id, token, own)) continue
    for (const metric of own) {
      const key = metric.key.slice(0, -token.length - 1)
      found.set(key, { ...metric, key, value: metric.value + (found.get(key)?.value ?? 0) })
    }
  }
  return [...found.values()]
}

/** Deletes the parts of a series, also those of other caches. Returns whether there were any. */
export function deleteParts(id: number, key: string): boolean {
  const parts = native.metricsAll(id).filter((part) => part.key.startsWith(`${key}@`))
  return parts.filter((part) => native.metricDelete(id, part.key)).length > 0
}

/** Deletes these parts if the cache with the token is gone. False: it is open. */
function endDead(id: number, token: string, parts: readonly NativeMetric[]): boolean {
  try {
    // A lock that is granted was held by no living thread.
    const { state, number } = native.permitAcquire(id, Keyspace.Locks, lockOf(token), 1, 0, false)
    if (state !== PermitState.Granted) return false
    for (const { key } of parts) native.metricDelete(id, key)
    native.permitRelease(id, Keyspace.Locks, lockOf(token), 1, number)
    return true
  } catch (error) {
    if (isDetached(error)) throw error
    // A shard is busy. The next read decides.
    return false
  }
}

/** No name of a lock that a user would choose. */
function lockOf(token: string): string {
  return `\0cache-machine gauge ${token}`
}

function tokenOf(key: string): string | undefined {
  return key.includes('{') && !key.endsWith('}') ? key.slice(key.lastIndexOf('@') + 1) : undefined
}
