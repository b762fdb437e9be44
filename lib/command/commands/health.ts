/** `health`: whether a segment can be used now, for probes. */
import { openSegment } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { SEGMENT } from '../grammar.ts'
import { STATUS_COLOURS } from '../output.ts'

export const health: Command = {
  name: 'health',
  summary: 'check whether a segment can be read and written now, for probes',
  about: [
    'Attaches to the segment, reads it, takes and releases a lock in it, and looks at its processes, memory and damage, as ' +
      'cache.health() does. It leaves no trace in entries and counts.',
    'The exit code is 0 if all is well or there are only warnings, and 1 with a problem or without a segment: a probe of ' +
      'Kubernetes takes it as it is. With --strict a warning is 1 as well.',
  ],
  parameters: [SEGMENT],
  options: {
    strict: { type: 'flag', what: 'the exit code is 1 for a warning as well' },
    quiet: { type: 'flag', short: 'q', what: 'print only warnings and problems' },
  },
  examples: [
    ['cache-machine health app', 'all checks'],
    ['cache-machine health app --quiet --strict', 'in a script: silent if all is well'],
  ],
  json: 'an object with "status" and "checks", each with "id", "status", "message" and "fix" (null if none), as cache.health()',
  run(call, world): ExitCode {
    // As an application: a read of a damaged segment is a miss, and the checks tell it.
    using opened = openSegment(call, world, { strict: false })
    const { status, checks } = opened.root.health()
    const exitCode = status === 'problem' || (status === 'warning' && call.flag('strict')) ? 1 : 0
    if (call.flag('json')) {
      world.out.json({ status, checks: checks.map((check) => ({ ...check, fix: check.fix ?? null })) })
      return exitCode
    }
    for (const { id, status: own, message, fix } of checks) {
      if (own === 'ok' && call.flag('quiet')) continue
      world.out.line(`${world.out.colour(STATUS_COLOURS[own], own.padEnd(7))}  ${id}: ${message}`)
      if (fix !== undefined) world.out.line(`         ${fix}`)
    }
    return exitCode
  },
}
