/**
 * The health of a cache, for probes and dashboards: whether it can be read and written now, and what is wrong around it.
 */
import { CacheError } from '../errors.ts'
import { seen } from './seen-processes.ts'
import type { SegmentInfo } from './segments.ts'
import type { Stats } from './stats.ts'

/** `problem`: it cannot be used as it is. `warning`: it works, with a restriction. */
export type HealthStatus = 'ok' | 'warning' | 'problem'

/** One aspect of the health of a cache. */
export interface HealthCheck {
  /**
   * - `segment`: it is there, and this process can read it.
   * - `write`: a write is possible now, in one shard.
   * - `processes`: none of the attached processes is suspended. One inside a write makes other writers wait.
   * - `memory`: the file system and the memory limit of this process allow the whole size.
   * - `damage`: no read or repair has found damage since the segment was made.
   * - `tags`: no tagged entry has ended without need since the segment was made.
   */
  readonly id: 'segment' | 'write' | 'processes' | 'memory' | 'damage' | 'tags'
  readonly status: HealthStatus
  /** What was found, in one sentence. */
  readonly message: string
  /** What to do; only with a warning or a problem. */
  readonly fix?: string
}

/** See `SharedCache.health`. */
export interface Health {
  /** The worst status of the checks. */
  readonly status: HealthStatus
  readonly checks: readonly HealthCheck[]
}

/** What the checks look at. */
export interface HealthSource {
  /** The segment from outside; undefined: there is none. */
  info(): SegmentInfo | undefined
  stats(): Stats
  /** A write that leaves nothing. */
  write(): void
}

/** Runs all checks. A check that fails by a `CacheError` is a problem with its message and its remedy. */
export function healthOf(source: HealthSource): Health {
  const info = attempt('segment', () => source.info() ?? notThere())
  const checks: HealthCheck[] =
    'id' in info
      ? [info]
      : [
          ok('segment', `the segment has ${info.entries} entries`),
          writeCheck(source),
          processesCheck(info),
          memoryCheck(info),
          ...countChecks(source),
        ]
  const worst = (['problem', 'warning'] as const).find((status) => checks.some((check) => check.status === status))
  return { status: worst ?? 'ok', checks }
}

function notThere(): never {
  throw new CacheError('ERR_NO_SEGMENT', 'the segment was destroyed', {
    hint: 'The next call of a cache that may create it makes an empty one.',
  })
}

function ok(id: HealthCheck['id'], message: string): HealthCheck {
  return { id, status: 'ok', message }
}

function attempt<T extends object>(id: HealthCheck['id'], run: () => T): T | HealthCheck {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof CacheError)) throw error
    return { id, status: 'problem', message: `${error.message} (${error.code})`, fix: error.hint }
  }
}

function writeCheck(source: HealthSource): HealthCheck {
  return attempt('write', () => {
    source.write()
    return ok('write', 'a write is possible')
  })
}

function processesCheck({ processes, path }: SegmentInfo): HealthCheck {
  const suspended = processes.map((process) => seen(process, path)).filter(({ state }) => state === 'suspended')
  const [first] = suspended
  if (first === undefined) return ok('processes', `${processes.length} processes are attached, none is suspended`)
  const pids = suspended.map(({ pid }) => pid).join(', ')
  return {
    id: 'processes',
    status: 'problem',
    message: `of ${processes.length} attached processes, these are suspended: ${pids}`,
    fix: `Resume it (kill -CONT ${first.pid}), or end it: inside a write it makes other writers fail with ERR_BUSY.`,
  }
}

function memoryCheck({ size, limitBytes }: SegmentInfo): HealthCheck {
  if (limitBytes >= size) return ok('memory', `the whole size of ${size} bytes is allowed`)
  return {
    id: 'memory',
    status: 'warning',
    message: `the size is ${size} bytes, and only ${limitBytes} are allowed`,
    fix: 'Enlarge the file system (in Docker: --shm-size) or the memory limit, or open a smaller segment.',
  }
}

function countChecks(source: HealthSource): HealthCheck[] {
  const stats = attempt('damage', () => source.stats())
  if ('id' in stats) return [stats]
  const { damaged, tagsUnjudged } = stats
  return [
    damaged === 0
      ? ok('damage', 'no damage was found')
      : {
          id: 'damage',
          status: 'warning',
          message: `${damaged} damaged entries were dropped since the segment was made`,
          fix: 'Look for a process that writes into the file of the segment, or for bad memory. Destroy the segment to start anew.',
        },
    tagsUnjudged === 0
      ? ok('tags', 'no tagged entry ended without need')
      : {
          id: 'tags',
          status: 'warning',
          message: `${tagsUnjudged} tagged entries ended without need`,
          fix: 'Invalidate fewer tags at a time, or open a larger segment: it has room for more of them.',
        },
  ]
}
