/** `watch`: the changes of a segment, one a line. */
import { keyOf, openSegment } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import type { Output } from '../output.ts'
import { count, shownKey } from '../output.ts'
import { toKeyForm } from '../values.ts'
import type { Call } from '../arguments.ts'
import type { Change, WatchFilter } from '../../messaging/changes.ts'
import { HEX, NAMESPACE, SEGMENT } from '../grammar.ts'

/** Changes that may wait for the terminal. */
const BUFFER = 10_000

export const watch: Command = {
  name: 'watch',
  summary: 'print every change as it happens',
  about: [
    'Prints changes by any process: set, delete, evict, expire, clear and invalidate. Reads are no changes. It ends by ' +
      'Ctrl+C, after --count changes, or after --for.',
    'If more changes come than can be printed, the oldest are dropped, and the next line tells how many.',
    'The exit code is 1 if the segment was destroyed meanwhile.',
  ],
  parameters: [SEGMENT],
  options: {
    namespace: NAMESPACE,
    hex: HEX,
    key: { type: 'text', short: 'k', value: 'KEY', what: 'only this key' },
    prefix: { type: 'text', short: 'p', value: 'TEXT', what: 'only keys that begin with this' },
    tags: { type: 'list', value: 'TAG,...', what: 'only entries with one of these tags' },
    count: { type: 'count', short: 'c', value: 'N', what: 'end after so many changes' },
    for: { type: 'duration', value: 'TIME', what: 'end after this time' },
  },
  examples: [
    ['cache-machine watch app --prefix user:', 'changes of users'],
    ['cache-machine watch app --json --for 10s', 'ten seconds for a program'],
  ],
  json: 'one change a line: "time" (epoch milliseconds), "type", "key" (null for clear and invalidate), "version", "tags", "lost"',
  async run(call, world): Promise<ExitCode> {
    const limit = call.count('count') ?? Infinity
    const time = call.duration('for')
    const filter = filterOf(call)
    using opened = openSegment(call, world)
    const ending = time === undefined ? world.signal : AbortSignal.any([world.signal, AbortSignal.timeout(time)])
    const changes = opened.cache.watch(filter, { signal: ending, buffer: BUFFER })
    let printed = 0
    try {
      for await (const change of changes) {
        if (call.flag('json')) world.out.line(JSON.stringify(formOf(change)))
        else print(change, world.out)
        if (++printed >= limit) break
      }
    } catch (error) {
      if (!ending.aborted) throw error
    }
    return 0
  },
}

function filterOf(call: Call): WatchFilter {
  const [key, prefix, tags] = [call.text('key'), call.text('prefix'), call.list('tags')]
  return {
    ...(key !== undefined && { key: keyOf(key, call) }),
    ...(prefix !== undefined && { prefix: keyOf(prefix, call) }),
    ...(tags.length > 0 && { tags }),
  }
}

function formOf({ type, key, version, tags, lost }: Change): object {
  return { time: Date.now(), type, key: key === undefined ? null : toKeyForm(key), version, tags: tags ?? null, lost }
}

function print({ type, key, version, tags, lost }: Change, out: Output): void {
  if (lost > 0) out.line(out.colour('yellow', `(${count(lost)} changes were lost here)`))
  const time = new Date().toISOString().slice(11, 23)
  const what = key === undefined ? '' : `${shownKey(key)}  v${version}`
  const of = tags === undefined || tags.length === 0 ? '' : `  [${tags.join(', ')}]`
  out.line(`${out.colour('dim', time)}  ${type.padEnd(10)}  ${what}${of}`.trimEnd())
}
