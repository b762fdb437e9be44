/** `list`: the segments of this user. */
import { placeOf } from '../command.ts'
import type { Command } from '../command.ts'
import { duration, size } from '../output.ts'
import { describe, factsOf } from './inspect.ts'

export const list: Command = {
  name: 'list',
  summary: 'list the segments of this user or of a group, with sizes, entries and processes',
  about: [
    'Reads the segments from outside: it attaches to none, so it also works beside processes that hang, and on segments ' +
      'of other versions.',
    'HEALTH is "unused" if no process has the segment open, and names what is wrong otherwise; "inspect" explains it.',
  ],
  parameters: [],
  options: { names: { type: 'flag', what: 'print only the names, one a line' } },
  examples: [
    ['cache-machine list', 'all segments in /dev/shm'],
    ['cache-machine list --directory /cache', 'those in a folder'],
    ['cache-machine list --group www', 'those that a group shares'],
    ["cache-machine list --json | jq '.[].name'", 'for a program'],
  ],
  json: 'an array of what "inspect --json" prints',
  run(call, { out, segments }) {
    const place = placeOf(call)
    const infos = segments.list(place)
    if (call.flag('names')) {
      for (const { name } of infos) out.line(name)
      return 0
    }
    const all = infos.map((info) => factsOf(info))
    if (call.flag('json')) {
      out.json(all.map(describe))
      return 0
    }
    if (all.length === 0) {
      out.line(
        `This ${place.group === undefined ? 'user' : 'group'} has no segment in ${place.directory ?? '/dev/shm'}.`,
      )
      return 0
    }
    out.table(
      ['NAME', 'SIZE', 'TAKEN', 'ENTRIES', 'PROCESSES', 'AGE', 'HEALTH'],
      all.map(({ info, health }) => [
        info.name,
        size(info.size),
        info.readable ? size(info.reservedBytes) : '-',
        info.readable ? info.entries : '-',
        info.processes.length,
        info.readable ? duration(Date.now() - info.createdAt) : '-',
        health.text,
      ]),
    )
    return 0
  },
}
