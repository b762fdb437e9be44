/** `set`: stores a value. */
import { keyOf, openSegment } from '../command.ts'
import type { Command } from '../command.ts'
import { shownKey } from '../output.ts'
import { FormError, fromJsonForm, toKeyForm } from '../values.ts'
import type { Call } from '../arguments.ts'
import type { SetOptions } from '../../arguments/options.ts'
import { HEX, KEY, NAMESPACE, SEGMENT } from '../grammar.ts'

export const set: Command = {
  name: 'set',
  summary: 'store a value, given as JSON or text',
  about: [
    'A value that is JSON is stored as what it stands for: 5 as a number, {"a":1} as an object. Other text is stored as ' +
      'text, and so is everything with --text. "-" reads the value from standard input.',
    'Values that JSON does not have are given in the form that "get --json" prints: {"$type":"Date","value":' +
      '"2026-01-01T00:00:00.000Z"}.',
    'Without --ttl the entry does not expire: the default lifetime of a program is not a part of the segment. A namespace ' +
      'that the segment does not have is not created.',
    'The exit code is 1 if the value was not stored: --if did not hold, or there is no room.',
  ],
  parameters: [SEGMENT, KEY, { name: 'value', what: 'JSON or text; "-": from standard input' }],
  options: {
    namespace: NAMESPACE,
    hex: HEX,
    text: { type: 'flag', what: 'the value is text, also if it looks like JSON' },
    ttl: { type: 'duration', short: 't', value: 'TIME', what: 'lifetime: 250ms, 30s, 5m, 2h, 1d; default: none' },
    'keep-ttl': { type: 'flag', what: 'keep the deadline of the entry that is replaced' },
    stale: { type: 'duration', value: 'TIME', what: 'how long it may be served as stale after its lifetime' },
    tags: { type: 'list', value: 'TAG,...', what: 'tags of the entry; may be repeated' },
    if: { type: 'text', value: 'absent|present', what: 'store only if there is no entry, or only if there is one' },
  },
  examples: [
    [`cache-machine set app user:1 '{"name":"Ada"}' --ttl 5m`, 'an object for five minutes'],
    ['cache-machine set app page "<html>" --tags news,front', 'text with tags'],
    ['cache-machine set app logo - --text < logo.svg', 'from standard input'],
  ],
  json: 'an object with "key" and "stored" (true or false)',
  async run(call, world) {
    const options = optionsOf(call)
    const value = valueOf(call.parameter(2) === '-' ? await world.input() : call.parameter(2), call)
    using opened = openSegment(call, world)
    const key = keyOf(call.parameter(1), call)
    const stored = opened.cache.set(key, value, options)
    if (call.flag('json')) world.out.json({ key: toKeyForm(key), stored })
    else if (stored) world.out.line(`Stored "${shownKey(key)}".`)
    else
      world.err.line(
        `Not stored: ${options.if === undefined ? 'there is no room' : `--if ${call.text('if')} did not hold`}.`,
      )
    return stored ? 0 : 1
  },
}

function optionsOf(call: Call): SetOptions {
  const condition = call.text('if')
  if (condition !== undefined && condition !== 'absent' && condition !== 'present') {
    throw call.wrong(`--if is ${JSON.stringify(condition)}`, 'Pass --if absent or --if present.')
  }
  const [ttl, stale, tags] = [call.duration('ttl', 'never'), call.duration('stale', 'never'), call.list('tags')]
  return {
    ...(ttl !== undefined && { ttl }),
    ...(stale !== undefined && { stale }),
    ...(tags.length > 0 && { tags }),
    ...(call.flag('keep-ttl') && { keepTtl: true }),
    ...(condition !== undefined && { if: condition }),
  }
}

function valueOf(text: string, call: Call): unknown {
  if (call.flag('text')) return text
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return text
  }
  try {
    return fromJsonForm(document)
  } catch (error) {
    if (!(error instanceof FormError)) throw error
    throw call.wrong(error.message, 'Pass what "get --json" prints as "value", or --text to store the text as it is.')
  }
}
