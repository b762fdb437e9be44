/** `keys`: the keys of a segment, as a stream. */
import { keyOf, openSegment } from '../command.ts'
import type { Command, ExitCode, InspectedCache } from '../command.ts'
import { duration, shownKey, size } from '../output.ts'
import { toKeyForm } from '../values.ts'
import type { Key } from '../../arguments/keys.ts'
import type { ScanOptions } from '../../arguments/options.ts'
import { HEX, NAMESPACE, SEGMENT } from '../grammar.ts'

export const keys: Command = {
  name: 'keys',
  summary: 'print keys, one a line, in no order',
  about: [
    'Keys are printed while the index is walked, so "| head" ends at once. Nothing is locked, and no entry is marked as ' +
      'used. An entry that exists during the whole walk comes exactly once.',
    'Control characters in keys are shown as escapes, and byte keys as \\xff. --json gives them exactly.',
  ],
  parameters: [SEGMENT],
  options: {
    namespace: NAMESPACE,
    hex: { ...HEX, what: 'the prefix is bytes, given as hexadecimal digits' },
    prefix: { type: 'text', short: 'p', value: 'TEXT', what: 'only keys that begin with this' },
    tags: { type: 'list', value: 'TAG,...', what: 'only keys of entries with one of these tags' },
    limit: { type: 'count', short: 'l', value: 'N', what: 'end after so many keys' },
    long: { type: 'flag', what: 'print size and remaining lifetime as well' },
  },
  examples: [
    ['cache-machine keys app --prefix user: --limit 20', 'the first twenty keys of users'],
    ['cache-machine keys app --long', 'with sizes and lifetimes'],
  ],
  json:
    'one JSON document a line: the key, with --long an object with "key", "size", "expiresAt" and "version"; byte keys in ' +
    'the JSON of values',
  async run(call, world): Promise<ExitCode> {
    const limit = call.count('limit') ?? Infinity
    const options = optionsOf(call, world.signal)
    using opened = openSegment(call, world, { strict: false })
    let found = 0
    for await (const key of opened.cache.keys(options)) {
      if (found >= limit || world.signal.aborted) break
      const text = call.flag('json')
        ? jsonOf(key, call.flag('long'), opened.cache)
        : textOf(key, call.flag('long'), opened.cache)
      if (text !== undefined) {
        world.out.line(text)
        found++
      }
    }
    return 0
  },
}

function optionsOf(call: Parameters<Command['run']>[0], signal: AbortSignal): ScanOptions {
  const [prefix, tags] = [call.text('prefix'), call.list('tags')]
  return { signal, ...(prefix && { prefix: keyOf(prefix, call) }), ...(tags.length > 0 && { tags }) }
}

/** Undefined: the entry is gone. */
function jsonOf(key: Key, isLong: boolean, cache: InspectedCache): string | undefined {
  if (!isLong) return JSON.stringify(toKeyForm(key))
  const entry = cache.getEntry(key, { peek: true, collections: true })
  // A value of another codec has no metadata.
  if (entry === undefined) return cache.has(key) ? JSON.stringify({ key: toKeyForm(key) }) : undefined
  const { size: bytes, expiresAt, version } = entry
  return JSON.stringify({ key: toKeyForm(key), size: bytes, expiresAt: expiresAt ?? null, version })
}

function textOf(key: Key, isLong: boolean, cache: InspectedCache): string | undefined {
  if (!isLong) return shownKey(key)
  const entry = cache.getEntry(key, { peek: true, collections: true })
  if (entry === undefined)
    return cache.has(key) ? `${'?'.padStart(10)}  ${'?'.padStart(9)}  ${shownKey(key)}` : undefined
  const left = entry.expiresAt === undefined ? Infinity : Math.max(0, entry.expiresAt - Date.now())
  return `${size(entry.size).padStart(10)}  ${duration(left).padStart(9)}  ${shownKey(key)}`
}
