/**
 * The awaited calls of a cache with spans around them. The methods of one object are replaced; its class stays as it is,
 * and so do reads and writes.
 */
import type { Key } from '../../arguments/keys.ts'
import type { Leadership } from '../../coordination/elections.ts'
import type { Stats } from '../../segment/stats.ts'
import type { TelemetryContext } from './telemetry-api.ts'
import { CacheSpans } from './telemetry-spans.ts'
import type { SpanSettings } from './telemetry-spans.ts'

/** The calls that get spans. */
export type SpanKind = 'load' | 'get' | 'wait' | 'lock'

export const spanKinds: readonly SpanKind[] = ['load', 'get', 'wait', 'lock']

/** What the adapter needs of a cache: its awaited calls, its stats and its name. */
export interface ObservedCache {
  readonly name: string
  readonly namespaceName: string
  stats(): Stats
  namespace(...args: never[]): object
  getOrSet(...args: never[]): Promise<unknown>
  wrap(...args: never[]): (...args: never[]) => Promise<unknown>
  once(...args: never[]): Promise<unknown>
  waitFor(...args: never[]): Promise<unknown>
  lock(...args: never[]): Promise<unknown>
  withLock(...args: never[]): Promise<unknown>
  elect(name: string, options?: { signal?: AbortSignal; ref?: boolean }): Promise<Leadership>
  semaphore(...args: never[]): object
}

interface Settings extends SpanSettings {
  readonly kinds: ReadonlySet<SpanKind>
}

type Method = (...args: unknown[]) => unknown
type Load = (...args: unknown[]) => unknown

/** Objects with replaced methods. */
const replaced = new WeakSet<object>()

/** Replaces the methods of a cache. Returns a function that undoes it. */
export function instrumentCalls(cache: ObservedCache, settings: Settings): () => void {
  const state = { on: true }
  replace(cache, settings, state)
  return () => {
    // Namespaces keep their methods, which do nothing more from now on.
    state.on = false
    replaced.delete(cache)
    for (const name of ['namespace', ...names]) delete (cache as unknown as Record<string, unknown>)[name]
  }
}

const names = ['getOrSet', 'wrap', 'once', 'waitFor', 'lock', 'withLock', 'elect', 'semaphore'] as const

function replace(cache: ObservedCache, settings: Settings, state: { readonly on: boolean }): void {
  if (replaced.has(cache)) return
  replaced.add(cache)
  const spans = new CacheSpans(settings, cache)
  const { kinds } = settings
  const loads = loadsOf(spans, kinds)
  const calls: Record<string, (original: Method) => Method> = {
    namespace:
      (original) =>
      (...args) => {
        const child = original(...args) as ObservedCache
        if (state.on) replace(child, settings, state)
        return child
      },
    ...(kinds.has('load') || kinds.has('get') ? loads : {}),
    ...(kinds.has('wait') ? { waitFor: around(spans, 'waitFor') } : {}),
    ...(kinds.has('lock') ? locksOf(spans) : {}),
  }
  for (const [name, make] of Object.entries(calls)) {
    const original = (cache as unknown as Record<string, Method>)[name]?.bind(cache) as Method
    const measured = make(original)
    define(cache, name, (...args) => (state.on ? measured(...args) : original(...args)))
  }
}

/** As a method of a class: not among the keys of the object. */
function define(object: object, name: string, value: Method): void {
  Object.defineProperty(object, name, { value, configurable: true, writable: true, enumerable: false })
}

/** A call with a key first, in a span. */
function around(spans: CacheSpans, operation: string): (original: Method) => Method {
  return (original) =>
    (key, ...rest) =>
      spans.run(operation, key as Key, spans.active(), () => original(key, ...rest) as Promise<unknown>)
}

/** `getOrSet`, `wrap` and `once`: spans for the loads, and for the calls. */
function loadsOf(spans: CacheSpans, kinds: ReadonlySet<SpanKind>): Record<string, (original: Method) => Method> {
  const asked = kinds.has('get')
  const call = (operation: string, key: Key, run: () => unknown): unknown =>
    asked ? spans.run(operation, key, spans.active(), run) : run()
  const load = (key: Key, parent: TelemetryContext, run: () => unknown): unknown =>
    kinds.has('load') ? spans.run('load', key, parent, run) : run()

  const keyed =
    (operation: string) =>
    (original: Method): Method =>
    (key, loader, ...rest) =>
      call(operation, key as Key, () => {
        const parent = spans.active()
        const measured: unknown =
          typeof loader === 'function'
            ? (...args: unknown[]) => load(key as Key, parent, () => (loader as Load)(...args))
            : loader
        return original(key, measured, ...rest)
      })

  const wrap = (original: Method): Method => {
    return (fn, options, ...rest) => {
      const keyOf = (options as { key?: (...args: unknown[]) => Key } | undefined)?.key
      if (typeof fn !== 'function' || typeof keyOf !== 'function') return original(fn, options, ...rest)
      // The caller of each run, as `this`: the inner function is one for all calls.
      const inner = function (this: Caller, ...args: unknown[]): unknown {
        return load(keyOf(...args), this.parent, () => Reflect.apply(fn as Load, this.self, args))
      }
      const wrapped = original(inner, options, ...rest) as Load
      return function (this: unknown, ...args: unknown[]): unknown {
        const run = (): unknown => Reflect.apply(wrapped, { self: this, parent: spans.active() }, args)
        return asked ? call('wrap', keyOf(...args), run) : run()
      }
    }
  }
  return { getOrSet: keyed('getOrSet'), once: keyed('once'), wrap }
}

interface Caller {
  readonly self: unknown
  readonly parent: TelemetryContext
}

/** Locks, elections, and the two awaited calls of semaphores. */
function locksOf(spans: CacheSpans): Record<string, (original: Method) => Method> {
  const semaphore = (original: Method): Method => {
    return (name, ...rest) => {
      const made = original(name, ...rest) as Record<string, Method>
      for (const operation of ['acquire', 'use']) {
        const call = made[operation]?.bind(made) as Method
        define(made, operation, (...args) =>
          spans.run(`semaphore.${operation}`, name as Key, spans.active(), () => call(...args) as Promise<unknown>),
        )
      }
      return made
    }
  }
  return {
    lock: around(spans, 'lock'),
    withLock: around(spans, 'withLock'),
    elect: around(spans, 'elect'),
    semaphore,
  }
}
