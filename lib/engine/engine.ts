/**
 * The calls of the engines: each goes to the engine of its handle.
 *
 * There are two: the native addon, and the portable engine in plain TypeScript. `open` chooses one, and the id of the
 * handle tells it from then on. The hot calls of a handle are its engine's own.
 */
import { CacheError, invalid, show } from '../errors.ts'
import type { CacheErrorCode } from '../errors.ts'
import { MetaInt, STATUS_CODES } from '../native/layout.ts'
import { isLoaded, loadError, native as addon } from '../native/addon.ts'
import type {
  Native,
  NativeOpenOptions,
  NativePlace,
  NativeRegion,
  NativeRegionInfo,
  NativeRegionOptions,
  NativeSegmentInfo,
} from '../native/addon.ts'
import type { RawCalls } from '../native/raw-calls.ts'
// Takes the timers of the runtime before a test replaces them: in dist/ the engine itself is loaded at its first use.
// oxlint-disable-next-line import/no-unassigned-import
import '../portable/clock.ts'
import { portable } from '../portable/engine.ts'
import { failure } from '../portable/failure.ts'
import { isPortable } from '../portable/marks.ts'
import { isRead, isSpared } from './hooks.ts'
import type { Hooks } from './hooks.ts'

/** An engine, or `'auto'`: the native one if its addon can be loaded, else the portable one. */
export type Engine = 'native' | 'portable' | 'auto'

export const ENGINES: readonly Engine[] = ['native', 'portable', 'auto']

/** Throws `ERR_INVALID_ARGUMENT` unless `engine` is an engine or undefined. */
export function checkEngine(engine: Engine | undefined): Engine | undefined {
  if (engine === undefined || ENGINES.includes(engine)) return engine
  throw invalid(`engine must be one of ${ENGINES.map(show).join(', ')}`, engine)
}

/** The environment variable with the engine of calls that name none. */
const VARIABLE = 'CACHE_MACHINE_ENGINE'

/** Options of `open` of an engine. */
export interface EngineOpenOptions extends NativeOpenOptions {
  /** Default: that of the environment variable, else native. */
  engine?: Engine | undefined
  hooks?: Hooks | undefined
}

/** The calls of both engines. Those that have no handle take the engine. */
interface Engines extends Omit<
  Native,
  | 'open'
  | 'regionOpen'
  | 'segmentsList'
  | 'segmentsInspect'
  | 'segmentsDestroy'
  | 'regionsList'
  | 'regionsInspect'
  | 'regionsDestroy'
> {
  open(options: EngineOpenOptions): ReturnType<Native['open']>
  regionOpen(options: NativeRegionOptions, engine?: Engine): NativeRegion
  segmentsList(place: NativePlace, engine?: Engine): NativeSegmentInfo[]
  segmentsInspect(name: string, place: NativePlace, engine?: Engine): NativeSegmentInfo | null
  segmentsDestroy(name: string, place: NativePlace, force: boolean, engine?: Engine): boolean
  regionsList(place: NativePlace, engine?: Engine): NativeRegionInfo[]
  regionsInspect(cache: string, name: string, place: NativePlace, engine?: Engine): NativeRegionInfo | null
  regionsDestroy(cache: string, name: string, place: NativePlace, force: boolean, engine?: Engine): boolean
}

/** The hooks of the handles that have some. */
const hooked = new Map<number, Hooks>()
let hasWarned = false

/** The engine for a call without a handle. Throws `ERR_INVALID_ARGUMENT` for a wrong environment variable. */
export function engineFor(asked: Engine | undefined): 'native' | 'portable' {
  const engine = asked ?? ofEnvironment()
  if (engine !== 'auto') return engine
  if (isLoaded) return 'native'
  warnOnce()
  return 'portable'
}

export { isPortable }

function ofEnvironment(): Engine {
  const given = process.env[VARIABLE]
  if (given === undefined || given === '') return 'native'
  if (ENGINES.includes(given as Engine)) return given as Engine
  throw new CacheError('ERR_INVALID_ARGUMENT', `the environment variable ${VARIABLE} is '${given}'`, {
    hint: `Set ${VARIABLE} to one of ${ENGINES.join(', ')}, or remove it.`,
  })
}

function warnOnce(): void {
  if (hasWarned) return
  hasWarned = true
  const message =
    'cache-machine: the native addon could not be loaded, so caches are NOT SHARED: each process and each thread has ' +
    'its own, in its own heap'
  process.emitWarning(message, {
    type: 'CacheMachineWarning',
    code: 'CACHE_MACHINE_PORTABLE',
    detail: `The portable engine is for development and tests. ${loadError().message}`,
  })
}

function of(asked: Engine | undefined): Native {
  return engineFor(asked) === 'portable' ? portable : addon
}

type Callable = (id: number, ...rest: unknown[]) => unknown

/** A call that goes to the engine of its handle, behind the hooks of the handle. */
function on<K extends keyof Native>(name: K): Native[K] {
  const call = (id: number, ...rest: unknown[]): unknown => {
    if (hooked.size > 0) runHooks(name, id)
    return ((isPortable(id) ? portable : addon)[name] as Callable)(id, ...rest)
  }
  return call as unknown as Native[K]
}

function runHooks(name: string, id: number): void {
  const hooks = hooked.get(id)
  // The hooks move the clock themselves.
  if (hooks === undefined || name === 'advanceClock') return
  const code = beforeCall(hooks, id, name)
  if (code !== undefined) throw failure(code, `a test asked for ${code}`)
}

/** The code with which the call is to fail, if a test asked for that. */
function beforeCall(hooks: Hooks, id: number, name: string): CacheErrorCode | undefined {
  hooks.sync(id)
  return isSpared(name) ? undefined : hooks.failureFor(isRead(name))
}

/** The raw calls behind the hooks. */
function withHooks(id: number, calls: RawCalls, hooks: Hooks): RawCalls {
  const ints = new Int32Array(calls.meta)
  const wrapped = Object.entries(calls).map(([name, call]: [string, unknown]) => {
    if (typeof call !== 'function') return [name, call]
    const hookedCall = (...args: unknown[]): unknown => {
      const code = beforeCall(hooks, id, name)
      if (code === undefined) return Reflect.apply(call, undefined, args)
      ints[MetaInt.Status] = STATUS_CODES.indexOf(code)
      return undefined
    }
    return [name, hookedCall]
  })
  return Object.fromEntries(wrapped) as RawCalls
}

/** The calls of the native addon's interface, on either engine. */
export const native: Engines = {
  open({ engine, hooks, ...options }) {
    const chosen = of(engine)
    if (hooks === undefined) return chosen.open(options)
    const clock = chosen === portable ? { clock: hooks.clock } : { manualClock: true }
    const opened = chosen.open({ ...options, ...clock })
    hooked.set(opened.id, hooks)
    hooks.opened(opened.id, chosen === portable)
    return opened
  },

  close(id) {
    hooked.get(id)?.closed(id)
    hooked.delete(id)
    if (isPortable(id)) portable.close(id)
    else addon.close(id)
  },

  rawCalls(id) {
    const calls = (isPortable(id) ? portable : addon).rawCalls(id)
    const hooks = hooked.get(id)
    return hooks === undefined ? calls : withHooks(id, calls, hooks)
  },

  setNotifier: on('setNotifier'),
  wantRemovals: on('wantRemovals'),
  waitStart: on('waitStart'),
  waitCancel: on('waitCancel'),
  watchStart: on('watchStart'),
  subscribeStart: on('subscribeStart'),
  streamTake: on('streamTake'),
  streamEnd: on('streamEnd'),
  publish: on('publish'),
  keys: on('keys'),
  deletePrefix: on('deletePrefix'),
  invalidateTags: on('invalidateTags'),
  clear: on('clear'),
  size: on('size'),
  stats: on('stats'),
  shards: on('shards'),
  validate: on('validate'),
  advanceClock: on('advanceClock'),
  snapshotPage: on('snapshotPage'),
  snapshotState: on('snapshotState'),
  restoreBegin: on('restoreBegin'),
  restoreTarget: on('restoreTarget'),
  restoreRecords: on('restoreRecords'),
  restoreSweep: on('restoreSweep'),
  dimensions: on('dimensions'),
  resize: on('resize'),
  permitAcquire: on('permitAcquire'),
  ticketState: on('ticketState'),
  ticketCancel: on('ticketCancel'),
  ticketWatch: on('ticketWatch'),
  permitRelease: on('permitRelease'),
  permitExtend: on('permitExtend'),
  permitIsHeld: on('permitIsHeld'),
  permitCounts: on('permitCounts'),
  gateEnter: on('gateEnter'),
  conditionNotify: on('conditionNotify'),
  eventSet: on('eventSet'),
  gateState: on('gateState'),
  permitsHeld: on('permitsHeld'),
  queuePush: on('queuePush'),
  queueTake: on('queueTake'),
  queueTurn: on('queueTurn'),
  queueLeave: on('queueLeave'),
  queueValue: on('queueValue'),
  queueAcknowledge: on('queueAcknowledge'),
  queueRelease: on('queueRelease'),
  queueExtend: on('queueExtend'),
  queueDiscard: on('queueDiscard'),
  queueRevive: on('queueRevive'),
  queueDead: on('queueDead'),
  queueCounts: on('queueCounts'),
  queueWatch: on('queueWatch'),
  recordWatchCancel: on('recordWatchCancel'),
  transact: on('transact'),
  isUnchanged: on('isUnchanged'),
  flightBegin: on('flightBegin'),
  flightFail: on('flightFail'),
  flightAbandon: on('flightAbandon'),
  flightOutcome: on('flightOutcome'),
  flightIsOn: on('flightIsOn'),
  flightWatch: on('flightWatch'),
  onceFinish: on('onceFinish'),
  onceResult: on('onceResult'),
  metricDeclare: on('metricDeclare'),
  metricGet: on('metricGet'),
  metricsAll: on('metricsAll'),
  metricDelete: on('metricDelete'),
  regionBuffer: on('regionBuffer'),
  regionAttached: on('regionAttached'),
  regionCalls: on('regionCalls'),
  regionClose: on('regionClose'),

  regionOpen: (options, engine) => of(engine).regionOpen(options),
  segmentsList: (place, engine) => of(engine).segmentsList(place),
  segmentsInspect: (name, place, engine) => of(engine).segmentsInspect(name, place),
  segmentsDestroy: (name, place, force, engine) => of(engine).segmentsDestroy(name, place, force),
  regionsList: (place, engine) => of(engine).regionsList(place),
  regionsInspect: (cache, name, place, engine) => of(engine).regionsInspect(cache, name, place),
  regionsDestroy: (cache, name, place, force, engine) => of(engine).regionsDestroy(cache, name, place, force),
}
