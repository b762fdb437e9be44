/** `del`: deletes entries. */
import { keyOf, openSegment } from '../command.ts'
import type { Command } from '../command.ts'
import { some } from '../output.ts'
import { HEX, NAMESPACE, SEGMENT } from '../grammar.ts'

export const del: Command = {
  name: 'del',
  summary: 'delete keys, or all keys with a prefix',
  about: [
    'With --prefix it walks the whole index, some 0.2 s for a million entries, and locks only a small part at a time.',
    'The exit code is 1 if there was nothing to delete.',
  ],
  parameters: [SEGMENT, { name: 'key', what: 'keys to delete', optional: true, many: true }],
  options: {
    namespace: NAMESPACE,
    hex: HEX,
    prefix: { type: 'text', short: 'p', value: 'TEXT', what: 'delete all keys that begin with this' },
  },
  examples: [
    ['cache-machine del app user:1 user:2', 'two keys'],
    ['cache-machine del app --prefix user:', 'all keys of users'],
  ],
  json: 'an object with "deleted", the number of deleted entries',
  async run(call, world) {
    const keys = call.parameters.slice(1).map((text) => keyOf(text, call))
    const prefix = call.text('prefix')
    if ((prefix === undefined) === (keys.length === 0)) throw call.wrong('pass either keys or --prefix')
    if (prefix === '') throw call.wrong('--prefix is empty', 'Use "cache-machine clear" to delete all entries.')
    using opened = openSegment(call, world)
    const { cache } = opened
    const deleted =
      prefix === undefined
        ? cache.deleteMany(keys).filter(Boolean).length
        : await cache.deletePrefixAsync(keyOf(prefix, call), { signal: world.signal })
    if (call.flag('json')) world.out.json({ deleted })
    else world.out.line(`Deleted ${some(deleted, 'entry', 'entries')}.`)
    return deleted > 0 ? 0 : 1
  },
}
