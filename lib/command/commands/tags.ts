/** `tags`: the keys of entries with a tag, and the invalidation of tags. */
import { openSegment } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { shownKey, some } from '../output.ts'
import { toKeyForm } from '../values.ts'
import { NAMESPACE, SEGMENT } from '../grammar.ts'

export const tags: Command = {
  name: 'tags',
  summary: 'print the keys of entries with a tag, or invalidate tags',
  about: [
    'Prints the keys of all entries that have at least one of the tags. That walks the whole index.',
    'With --invalidate these entries end at once, for every process, in a time that does not depend on their number; with ' +
      '--stale, calls that accept stale values still get them. Each namespace has its own tags.',
    'A segment keeps numbers in place of the texts of tags, so there is no list of them.',
  ],
  parameters: [SEGMENT, { name: 'tag', what: 'a tag', many: true }],
  options: {
    namespace: NAMESPACE,
    invalidate: { type: 'flag', what: 'invalidate the tags' },
    stale: { type: 'flag', what: 'with --invalidate: entries may still be served as stale' },
  },
  examples: [
    ['cache-machine tags app news', 'the keys with this tag'],
    ['cache-machine tags app news front --invalidate', 'end all entries with one of these tags'],
  ],
  json: 'one key a line, as "keys --json"; with --invalidate an object with "invalidated", the tags',
  async run(call, world): Promise<ExitCode> {
    const names = call.parameters.slice(1)
    if (call.flag('stale') && !call.flag('invalidate')) throw call.wrong('--stale needs --invalidate')
    using opened = openSegment(call, world)
    const { cache } = opened
    if (call.flag('invalidate')) {
      cache.invalidateTags(names, { mode: call.flag('stale') ? 'stale' : 'remove' })
      if (call.flag('json')) world.out.json({ invalidated: names })
      else world.out.line(`Invalidated ${some(names.length, 'tag')}.`)
      return 0
    }
    for await (const key of cache.keys({ tags: names, signal: world.signal })) {
      world.out.line(call.flag('json') ? JSON.stringify(toKeyForm(key)) : shownKey(key))
    }
    return 0
  },
}
