/**
 * A minimal `CacheStore`: a Map in one process, with a clock that stands still until `advance`.
 *
 * It passes the same suite as `SharedCache`, so the suite checks the contract and not the implementation. It evicts
 * nothing, and ignores tags and stale times, which a `CacheStore` has no way to query.
 */
import { CacheError } from '../../index.ts'
import type {
  CacheStore,
  Duration,
  IncrOptions,
  Item,
  Key,
  Load,
  LoadOptions,
  ScanOptions,
  SetOptions,
  Walk,
} from '../../index.ts'
import { SetFlag, checkLoad, invalid, lifetimeOf, resolveLoad, resolveSet, resolveTtl, walkOver } from './internals.ts'
import type { ResolvedLoad } from './internals.ts'

interface Stored {
  readonly key: Key
  readonly value: unknown
  readonly version: number
  /** By the clock of the store; Infinity: never. */
  readonly deadline: number
}

/** State that all namespaces of a store share. */
interface World {
  now: number
  version: number
  readonly namespaces: Map<string, Map<string, Stored>>
}

export class MapStore<V = unknown> implements CacheStore<V> {
  readonly #world: World
  readonly #name: string
  readonly #children: MapStore<unknown>[] = []
  readonly #loads = new Map<string, Promise<unknown>>()
  #closed = false

  constructor(world: World = { now: 0, version: 0, namespaces: new Map() }, name = '') {
    this.#world = world
    this.#name = name
    if (!world.namespaces.has(name)) world.namespaces.set(name, new Map())
  }

  advance(milliseconds: number): void {
    this.#world.now += milliseconds
  }

  get(key: Key): V | undefined {
    const found = this.#find(key)
    return found === undefined ? undefined : (copy(found.value) as V)
  }

  set(key: Key, value: V, options: Duration | SetOptions = {}): boolean {
    const { ttl, isOver, flags, version } = resolveSet(options, 0, 0)
    const kept = copy(value)
    const before = this.#find(key)
    if ((flags & SetFlag.IfAbsent) !== 0 && before !== undefined) return false
    if ((flags & SetFlag.IfPresent) !== 0 && before === undefined) return false
    if ((flags & SetFlag.IfVersion) !== 0 && before?.version !== version) return false
    if (isOver) {
      this.#entries().delete(named(key))
      return false
    }
    const keepsDeadline = (flags & SetFlag.KeepTtl) !== 0 && before !== undefined
    this.#put(key, kept, keepsDeadline ? before.deadline : this.#deadline(ttl))
    return true
  }

  delete(key: Key): boolean {
    const there = this.has(key)
    this.#entries().delete(named(key))
    return there
  }

  has(key: Key): boolean {
    return this.#find(key) !== undefined
  }

  clear(): void {
    this.#entries().clear()
    if (this.#name === '') for (const entries of this.#world.namespaces.values()) entries.clear()
  }

  ttl(key: Key): number | undefined {
    const found = this.#find(key)
    return found === undefined ? undefined : found.deadline - this.#world.now
  }

  touch(key: Key, ttl: Duration): boolean {
    const lifetime = resolveTtl(ttl)
    const found = this.#find(key)
    if (found === undefined) return false
    this.#entries().set(named(key), { ...found, deadline: this.#deadline(lifetime) })
    return true
  }

  incr(key: Key, by = 1, { init = 0, ttl, min = -Infinity, max = Infinity }: IncrOptions = {}): number {
    for (const number of [by, init]) if (!Number.isFinite(number)) throw invalid('a step must be finite', number)
    for (const number of [min, max]) {
      if (typeof number !== 'number' || Number.isNaN(number)) throw invalid('a limit must be a number', number)
    }
    if (min > max) throw invalid('min must not be above max', min)
    const lifetime = ttl === undefined ? 0 : resolveTtl(ttl)
    const found = this.#find(key)
    const start = found?.value ?? init
    if (typeof start !== 'number' || found?.value === null) {
      throw new CacheError('ERR_NOT_A_NUMBER', 'the entry is not a number')
    }
    const sum = Math.min(Math.max(start + by, min), max)
    if (!Number.isFinite(sum) || Math.abs(sum) > Number.MAX_SAFE_INTEGER) {
      throw new CacheError('ERR_OVERFLOW', 'the sum is not a safe number')
    }
    this.#put(key, sum, found?.deadline ?? this.#deadline(lifetime))
    return sum
  }

  getMany(keys: Iterable<Key>): (V | undefined)[] {
    return Array.from(list(keys), (key) => this.get(key))
  }

  setMany(items: Iterable<Item<V>>, options: Duration | Omit<SetOptions, 'if'> = {}): boolean[] {
    const all = list(items).map((item) => {
      if (!Array.isArray(item)) throw invalid('an item is [key, value] or [key, value, options]', item)
      const [key, value, own = options] = item as unknown as [Key, V, (Duration | SetOptions)?]
      named(key)
      resolveSet(own, 0, 0)
      return { key, value: copy(value) as V, own }
    })
    return all.map(({ key, value, own }) => this.set(key, value, own))
  }

  deleteMany(keys: Iterable<Key>): boolean[] {
    return Array.from(list(keys), (key) => this.delete(key))
  }

  hasMany(keys: Iterable<Key>): boolean[] {
    return Array.from(list(keys), (key) => this.has(key))
  }

  async getOrSet(key: Key, load: Load<V, V | undefined>, options?: LoadOptions<V>): Promise<V | undefined> {
    checkLoad(load, 'getOrSet')
    const resolved = resolveLoad(options as LoadOptions<never>)
    const { signal, force } = resolved
    signal?.throwIfAborted()
    const found = force ? undefined : this.get(key)
    if (found !== undefined) return found
    const name = named(key)
    const running = this.#loads.get(name) ?? this.#load(key, load, resolved)
    this.#loads.set(name, running)
    const aborted = new Promise<never>((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error))
    })
    const value = await Promise.race([running, aborted])
    return (value === undefined ? value : copy(value)) as V | undefined
  }

  async #load(key: Key, load: Load<V, V | undefined>, options: ResolvedLoad): Promise<V | undefined> {
    const { signal } = new AbortController()
    try {
      const notModified = (): never => {
        throw invalid('there is no value before', key)
      }
      const value = await load({ key, signal, stale: undefined, token: 0, notModified })
      const ttl = value === undefined ? undefined : lifetimeOf(value, options, 0)
      if (value !== undefined && ttl !== undefined) this.set(key, value, ttl === 0 ? {} : { ttl })
      return value
    } finally {
      this.#loads.delete(named(key))
    }
  }

  keys({ prefix = '', signal }: ScanOptions = {}): Walk<Key> {
    const start = typeof prefix === 'string' && prefix === '' ? '' : named(prefix)
    const entries = this.#entries()
    const found = [...entries].filter(([name, stored]) => name.startsWith(start) && this.#find(stored.key))
    const walk = function* (): Generator<Key, undefined> {
      for (const [, { key }] of found) yield key
    }
    return walkOver(walk(), signal)
  }

  namespace<W = V>(name: string): MapStore<W> {
    this.#open()
    if (typeof name !== 'string' || name === '' || !name.isWellFormed()) throw invalid('a namespace needs a name', name)
    const child = new MapStore<W>(this.#world, this.#name === '' ? name : `${this.#name}:${name}`)
    this.#children.push(child)
    return child
  }

  close(): void {
    this.#closed = true
    for (const child of this.#children) child.close()
  }

  #open(): void {
    if (this.#closed) throw new CacheError('ERR_CLOSED', 'the store is closed')
  }

  #entries(): Map<string, Stored> {
    this.#open()
    return this.#world.namespaces.get(this.#name) as Map<string, Stored>
  }

  #find(key: Key): Stored | undefined {
    const name = named(key)
    const entries = this.#entries()
    const found = entries.get(name)
    if (found === undefined || found.deadline > this.#world.now) return found
    entries.delete(name)
    return undefined
  }

  #put(key: Key, value: unknown, deadline: number): void {
    const version = ++this.#world.version
    const own = typeof key === 'string' ? key : Uint8Array.from(key)
    this.#entries().set(named(key), { key: own, value, version, deadline })
  }

  #deadline(ttl: number): number {
    return ttl === 0 ? Infinity : this.#world.now + ttl
  }
}

/** A key as a string with one character for each byte, since a text and its UTF-8 bytes are one key. */
function named(key: unknown): string {
  if (typeof key === 'string' ? !key.isWellFormed() : !(key instanceof Uint8Array)) throw invalid('no key', key)
  const bytes = Buffer.from(key as string)
  if (bytes.length === 0) throw invalid('a key has at least 1 byte', key)
  if (bytes.length > 8192) throw new CacheError('ERR_KEY_TOO_LONG', 'a key may have 8,192 bytes')
  return bytes.toString('latin1')
}

function list<T>(items: Iterable<T>): T[] {
  if (typeof items !== 'object' || items === null || !(Symbol.iterator in items)) throw invalid('no iterable', items)
  return [...items]
}

/** A separate copy of a value. */
function copy(value: unknown): unknown {
  if (value === undefined) throw new CacheError('ERR_UNDEFINED_VALUE', 'undefined cannot be stored')
  if (Buffer.isBuffer(value)) return Buffer.from(value)
  try {
    return structuredClone(value)
  } catch (cause) {
    throw new CacheError('ERR_UNSERIALIZABLE', '$ cannot be stored', { cause })
  }
}
