/**
 * What a cache reports: events to its listeners, messages to diagnostics channels, and entries to its log.
 *
 * A message is built only for a channel that has subscribers. Callers on hot paths test `channels.….hasSubscribers`
 * themselves and call here only if it is true.
 */
import type { Key } from '../arguments/keys.ts'
import { givenKey } from '../arguments/keys.ts'
import type { CacheError } from '../errors.ts'
import type { RawKey } from '../native/raw-calls.ts'
import { channels } from './diagnostics.ts'
import type { CacheMessage } from './diagnostics.ts'
import { EventLog } from './event-log.ts'
import { EventListeners } from './events.ts'
import type { LogEntry } from '../arguments/log-option.ts'

/** The reports of one cache. */
export class Reports {
  readonly listeners: EventListeners = new EventListeners()
  readonly #name: string
  readonly #namespace: string
  readonly #log: EventLog | undefined

  constructor(name: string, namespace: string, log?: (entry: LogEntry) => void) {
    this.#name = name
    this.#namespace = namespace
    this.#log = log && new EventLog(log, { cache: name, namespace })
  }

  /** Whether there is an event log. */
  get isLogged(): boolean {
    return this.#log !== undefined
  }

  /** A message with the name and the namespace of the cache. */
  message(details?: Partial<CacheMessage>): CacheMessage {
    return { name: this.#name, namespace: this.#namespace, ...details }
  }

  opened(): void {
    this.#log?.write('open', { message: `opened the segment "${this.#name}"` })
    if (channels.open.hasSubscribers) channels.open.publish(this.message())
  }

  closed(): void {
    this.#log?.write('close', { message: `closed the segment "${this.#name}"; its data stays` })
    if (channels.close.hasSubscribers) channels.close.publish(this.message())
  }

  miss(key: Key): undefined {
    if (channels.miss.hasSubscribers) channels.miss.publish(this.message({ key }))
  }

  /** A `set` of `key`; `done`: it was stored. */
  set(key: RawKey, done: boolean): void {
    channels.set.publish(this.message({ key, done }))
  }

  /** A loader of this process ended; `error`: what it threw. */
  load(key: RawKey, done: boolean, error: unknown): void {
    if (!channels.load.hasSubscribers) return
    channels.load.publish(this.message({ key: givenKey(key), done, ...(error !== undefined && { error }) }))
  }

  /** A load of this process brought a value that cannot be stored. */
  unstored(key: RawKey, error: CacheError): void {
    const given = givenKey(key)
    this.listeners.emit('unstored', { key: given, error })
    this.#log?.write('unstored', {
      message: `a loaded value was not stored: ${error.message}`,
      ...of(error),
      key: given,
    })
    if (channels.unstored.hasSubscribers) channels.unstored.publish(this.message({ key: given, error }))
  }

  deleted(details: Partial<CacheMessage>): void {
    if (channels.delete.hasSubscribers) channels.delete.publish(this.message(details))
  }

  cleared(): void {
    if (channels.clear.hasSubscribers) channels.clear.publish(this.message())
  }

  invalidated(tags: readonly string[]): void {
    if (channels.invalidate.hasSubscribers) channels.invalidate.publish(this.message({ tags }))
  }

  /** A read became a miss. */
  degraded(error: CacheError): void {
    this.listeners.emit('damage', { shard: undefined, dropped: 0, error })
    this.#log?.write('damage', { message: `a read became a miss: ${error.message}`, ...of(error) })
    if (channels.damage.hasSubscribers) channels.damage.publish(this.message({ error }))
  }

  /** A read became a miss because the entry is that of another codec. */
  mismatched(key: RawKey | undefined, error: CacheError): undefined {
    const given = key === undefined ? undefined : givenKey(key)
    this.listeners.emit('mismatch', { key: given, error })
    this.#log?.write('mismatch', { message: `a read became a miss: ${error.message}`, ...of(error), key: given })
    if (!channels.mismatch.hasSubscribers) return
    channels.mismatch.publish(this.message({ ...(given !== undefined && { key: given }), error }))
  }

  /** A repair dropped entries. */
  damaged(shard: number, dropped: number): void {
    this.listeners.emit('damage', { shard, dropped, error: undefined })
    this.#log?.write('damage', { message: `a repair dropped ${dropped} damaged entries`, shard, dropped })
    if (channels.damage.hasSubscribers) channels.damage.publish(this.message({ count: dropped }))
  }

  repaired(shard: number, dropped: number): void {
    this.listeners.emit('repaired', { shard, dropped })
    const message = 'a process died in the middle of a write, which was undone or finished'
    this.#log?.write('repaired', { message, shard, dropped })
    if (channels.repaired.hasSubscribers) channels.repaired.publish(this.message({ count: dropped }))
  }

  resized(from: number, to: number): void {
    this.listeners.emit('resized', { from, to })
    this.#log?.write('resized', {
      message: `the segment "${this.#name}" was resized from ${from} to ${to} bytes`,
      from,
      to,
    })
    if (channels.resized.hasSubscribers) channels.resized.publish(this.message({ from, to }))
  }

  /** The segment of `path` was destroyed or lost. */
  detached(path: string): void {
    this.listeners.emit('detached', { name: this.#name, path })
    this.#log?.write('detached', {
      message: `the segment "${this.#name}" was destroyed or lost; the next call opens it anew`,
    })
    if (channels.detached.hasSubscribers) channels.detached.publish(this.message())
  }

  /**
   * Removals by this process. `lost`: how many more have no key here; `reasons`: 1 for an expired entry, else evicted.
   */
  removed([lost = 0, ...reasons]: readonly number[], keys: readonly Key[]): void {
    keys.forEach((key, i) => {
      const event = reasons[i] === 1 ? 'expire' : 'evict'
      const given = givenKey(key)
      this.listeners.emit(event, { key: given, lost: 0 })
      if (channels[event].hasSubscribers) channels[event].publish(this.message({ key: given }))
    })
    if (lost === 0) return
    // Thousands of removals under one lock are always evictions.
    this.listeners.emit('evict', { key: undefined, lost })
    if (channels.evict.hasSubscribers) channels.evict.publish(this.message({ count: lost }))
  }
}

function of({ code }: CacheError): { code: string } {
  return { code }
}
