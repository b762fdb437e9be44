/**
 * What a test double does around the calls of its handles: it moves their clock, and lets calls fail.
 */
import type { CacheErrorCode } from '../errors.ts'
import type { Clock } from '../portable/clock.ts'

/** The hooks of one cache. */
export interface Hooks {
  /** The clock of a portable segment that the cache creates. */
  readonly clock: Clock
  /** A handle was opened. */
  opened(id: number, isPortable: boolean): void
  /** A handle is closed. */
  closed(id: number): void
  /** Before each call on the handle: gives a native segment the time of the clock. */
  sync(id: number): void
  /** Before each call that can fail: the code with which it is to fail; undefined: it is made. */
  failureFor(isRead: boolean): CacheErrorCode | undefined
}

/** An option of `open`: the hooks of its handles. */
export const testHooks: unique symbol = Symbol('cache-machine.testHooks')

/** The calls that read. A failed one is a miss, unless the cache is strict. */
const READS: ReadonlySet<string> = new Set([
  'get',
  'getInto',
  'getNear',
  'has',
  'getMany',
  'hasMany',
  'ttl',
  'keys',
  'size',
  'stats',
  'shards',
  'permitIsHeld',
  'permitCounts',
  'gateState',
  'queueValue',
  'queueDead',
  'queueCounts',
  'permitsHeld',
  'flightOutcome',
  'isUnchanged',
  'onceResult',
  'metricGet',
  'metricsAll',
])

/** The calls that never fail on request: no user asks for them, or they clean up. */
const SPARED: ReadonlySet<string> = new Set([
  'now',
  'view',
  'countHits',
  'setNotifier',
  'wantRemovals',
  'waitCancel',
  'streamTake',
  'streamEnd',
  'ticketState',
  'ticketCancel',
  'queueTurn',
  'queueLeave',
  'recordWatchCancel',
  'flightIsOn',
  'flightWatch',
  'flightFail',
  'flightAbandon',
  'ticketWatch',
  'validate',
  'advanceClock',
  'dimensions',
])

export function isRead(call: string): boolean {
  return READS.has(call)
}

export function isSpared(call: string): boolean {
  return SPARED.has(call)
}
