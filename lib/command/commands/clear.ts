/** `clear`: deletes all entries. */
import { openSegment } from '../command.ts'
import type { Command } from '../command.ts'
import { some } from '../output.ts'
import { NAMESPACE, SEGMENT } from '../grammar.ts'

export const clear: Command = {
  name: 'clear',
  summary: 'delete all entries of a segment or of a namespace',
  about: [
    'Deletes all entries at once, for every process. On a segment it also clears all namespaces. Locks, limiters and metrics ' +
      'are no entries and stay. The segment itself stays, with its processes; "destroy" removes it.',
  ],
  parameters: [SEGMENT],
  options: { namespace: NAMESPACE },
  examples: [
    ['cache-machine clear app', 'the whole segment'],
    ['cache-machine clear app -n sessions', 'one namespace'],
  ],
  json: 'an object with "cleared", the number of entries before',
  run(call, world) {
    using opened = openSegment(call, world)
    const cleared = opened.cache.stats().entries
    opened.cache.clear()
    if (call.flag('json')) world.out.json({ cleared })
    else world.out.line(`Cleared ${some(cleared, 'entry', 'entries')}.`)
    return 0
  },
}
