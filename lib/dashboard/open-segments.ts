/**
 * The segments that the dashboard has open: opened at their first use, and closed some seconds after the last.
 */
import type { Milliseconds } from '../arguments/units.ts'
import { CacheError } from '../errors.ts'
import { unref } from '../waiting/timers.ts'
import type { DashboardSource, ViewedCache } from './source.ts'

const IDLE: Milliseconds = 10_000

interface OpenSegment {
  readonly cache: ViewedCache
  /** Feeds that use it. */
  users: number
  usedAt: Milliseconds
}

export class OpenSegments {
  readonly #source: DashboardSource
  readonly #open = new Map<string, OpenSegment>()
  #timer: NodeJS.Timeout | undefined

  constructor(source: DashboardSource) {
    this.#source = source
  }

  /**
   * The root of a segment, or one of its namespaces, with the keys of a version of the application; '': those without
   * one. Throws `ERR_NO_SEGMENT` if there is no segment, and creates nothing.
   */
  use(name: string, namespace: string, appVersion = this.#source.appVersion ?? ''): ViewedCache {
    const { cache } = this.#find(name, this.#known(name, appVersion))
    if (namespace === '') return cache
    if (!cache.stats().namespaces.includes(namespace)) {
      const message = `the segment ${JSON.stringify(name)} has no namespace ${JSON.stringify(namespace)}`
      throw new CacheError('ERR_INVALID_ARGUMENT', message, { hint: 'Choose one that the dashboard lists.' })
    }
    return cache.namespace(namespace)
  }

  /** The root, open until `release`. */
  keep(name: string): ViewedCache {
    const segment = this.#find(name, this.#source.appVersion)
    segment.users++
    return segment.cache
  }

  release(name: string): void {
    const segment = this.#open.get(idOf(name, this.#source.appVersion))
    if (segment !== undefined) segment.users--
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    for (const { cache } of this.#open.values()) cache.close()
    this.#open.clear()
  }

  /** The version, if it has entries or users: to open another one would make it. */
  #known(name: string, appVersion: string): string | undefined {
    if (appVersion === '' || appVersion === this.#source.appVersion) return appVersion || undefined
    const { versions } = this.#find(name, this.#source.appVersion).cache.stats()
    if (versions.some((version) => version.name === appVersion)) return appVersion
    const message = `the segment ${JSON.stringify(name)} has no version ${JSON.stringify(appVersion)}`
    throw new CacheError('ERR_INVALID_ARGUMENT', message, { hint: 'Choose one that the dashboard lists.' })
  }

  #find(name: string, appVersion: string | undefined): OpenSegment {
    const id = idOf(name, appVersion)
    let segment = this.#open.get(id)
    if (segment === undefined) {
      segment = { cache: this.#source.open(name, appVersion), users: 0, usedAt: 0 }
      this.#open.set(id, segment)
    }
    segment.usedAt = performance.now()
    this.#wait()
    return segment
  }

  #wait(): void {
    if (this.#timer !== undefined || this.#open.size === 0) return
    this.#timer = setTimeout(() => this.#closeIdle(), IDLE / 2)
    unref(this.#timer)
  }

  #closeIdle(): void {
    this.#timer = undefined
    for (const [name, { cache, users, usedAt }] of this.#open) {
      if (users > 0 || performance.now() - usedAt < IDLE) continue
      cache.close()
      this.#open.delete(name)
    }
    this.#wait()
  }
}

/** Names have no slash. */
function idOf(name: string, appVersion = ''): string {
  return `${name}/${appVersion}`
}
