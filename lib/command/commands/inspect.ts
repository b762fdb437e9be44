/** `inspect`: one segment and its processes, from outside. */
import { placeOf } from '../command.ts'
import type { Command } from '../command.ts'
import { NotFound } from '../failure.ts'
import { healthOf } from '../../viewing/health.ts'
import type { Health } from '../../viewing/health.ts'
import { STATUS_COLOURS, cut, duration, share, shownText, size } from '../output.ts'
import { seen } from '../../segment/seen-processes.ts'
import type { SeenProcess } from '../../segment/seen-processes.ts'
import type { SegmentInfo } from '../../segment/segments.ts'
import { SEGMENT } from '../grammar.ts'

/** A segment with what the system knows about its processes. */
export interface SegmentFacts {
  readonly info: SegmentInfo
  readonly processes: readonly SeenProcess[]
  readonly health: Health
}

export const inspect: Command = {
  name: 'inspect',
  summary: 'show one segment: sizes, health, and the attached processes',
  about: [
    'Reads the segment from outside, without attaching to it. It creates nothing and counts as no process.',
    'STATE is "running", "suspended" (stopped by SIGSTOP or a debugger) or "unseen": out of sight, in another PID namespace, ' +
      'as in another container. A segment knows the number that a process has in its own namespace.',
    'The exit code is 1 if there is no such segment, or if it has a problem.',
  ],
  parameters: [SEGMENT],
  options: {},
  examples: [['cache-machine inspect app', 'sizes, health and processes of the segment "app"']],
  json:
    'the fields of segments.inspect, and for each process "state" and "title" (null if unseen), and "health" with ' +
    '"verdict", "text" and "hint"',
  run(call, { out, segments }) {
    const place = placeOf(call)
    const name = call.parameter(0)
    const info =
      segments.inspect(name, place) ?? segments.list(place).find((other) => other.name === name && !other.readable)
    if (info === undefined) throw new NotFound(name, place, segments)
    const facts = factsOf(info)
    if (call.flag('json')) out.json(describe(facts))
    else {
      const { health } = facts
      out.pairs([
        ['name', info.name],
        ['health', out.colour(STATUS_COLOURS[health.verdict], health.text)],
        ...pairsOf(info),
      ])
      if (health.hint !== undefined) out.line(`\n${health.hint}`)
      out.line()
      if (facts.processes.length === 0) out.line('No process has it open.')
      else printProcesses(facts.processes, out)
    }
    return facts.health.verdict === 'problem' ? 1 : 0
  },
}

export function factsOf(info: SegmentInfo): SegmentFacts {
  const processes = info.processes.map((process) => seen(process, info.path))
  return { info, processes, health: healthOf(info, processes) }
}

/** As JSON. */
export function describe({ info, processes, health }: SegmentFacts): object {
  return {
    ...info,
    processes: processes.map((process) => ({ ...process, title: process.title ?? null })),
    health: { ...health, hint: health.hint ?? null },
  }
}

function pairsOf(info: SegmentInfo): [string, string][] {
  const { path, layoutVersion } = info
  if (!info.readable)
    return [
      ['path', path],
      ['layout', String(layoutVersion)],
      ['size', size(info.size)],
    ]
  const created = new Date(info.createdAt).toISOString()
  return [
    ['path', path],
    ['created', `${created} (${duration(Date.now() - info.createdAt)} ago)`],
    ['size', `${size(info.size)} (maximum); ${size(info.limitBytes)} can be had here`],
    ['taken', `${size(info.reservedBytes)} from the system so far`],
    ['entries', `${info.entries}, of at most ${size(info.maxEntrySize)} each`],
    ['used', `${size(info.usedBytes)} of ${size(info.capacityBytes)} (${share(info.usedBytes, info.capacityBytes)})`],
    ['eviction', info.eviction],
    ['shards', String(info.shards)],
    ['layout', String(layoutVersion)],
  ]
}

function printProcesses(processes: readonly SeenProcess[], out: Parameters<Command['run']>[1]['out']): void {
  const now = Date.now()
  out.table(
    ['PID', 'STATE', 'ATTACHED', 'VERSION', 'TITLE'],
    processes.map(({ pid, state, attachedAt, packageVersion, title }) => [
      pid,
      state,
      duration(now - attachedAt),
      packageVersion === '' ? '-' : packageVersion,
      cut(shownText(title ?? '-'), Math.max(40, out.columns - 48)),
    ]),
  )
}
