/** `get`: the value of a key, without a trace. */
import { inspect, types } from 'node:util'
import { keyOf, openSegment } from '../command.ts'
import type { Command } from '../command.ts'
import { duration, shownKey, size } from '../output.ts'
import type { Output } from '../output.ts'
import { toJsonForm, toKeyForm } from '../values.ts'
import type { Entry } from '../../arguments/keys.ts'
import { HEX, KEY, NAMESPACE, SEGMENT } from '../grammar.ts'

export const get: Command = {
  name: 'get',
  summary: 'print the value of a key',
  about: [
    'The read leaves no trace: it counts as no hit or miss, the entry is not marked as used, and its lifetime stays.',
    'A collection comes as a Map of its fields or scores, as an array or as a Set.',
    'People get the value as Node prints it. --raw writes text and bytes as they are, without a line end, and any other ' +
      'value as JSON.',
    'The exit code is 1 if there is no entry. A value that a codec of your own has written cannot be read here ' +
      '(ERR_CODEC_MISMATCH).',
  ],
  parameters: [SEGMENT, KEY],
  options: {
    namespace: NAMESPACE,
    hex: HEX,
    meta: { type: 'flag', short: 'm', what: 'print version, times and size as well' },
    raw: { type: 'flag', short: 'r', what: 'write text and bytes as they are' },
    stale: { type: 'flag', what: 'accept an entry that is served as stale only' },
  },
  examples: [
    ['cache-machine get app user:1', 'the value'],
    ['cache-machine get app user:1 --meta', 'with version, times and size'],
    ['cache-machine get app logo.png --raw > logo.png', 'bytes into a file'],
  ],
  json:
    'an object with "key", "value" (see the JSON of values), "version", "createdAt", "expiresAt" (epoch milliseconds, null ' +
    'if it does not expire), "size" (bytes) and "stale"; null if there is no entry',
  run(call, world) {
    const { out, err } = world
    using opened = openSegment(call, world)
    const key = keyOf(call.parameter(1), call)
    const entry = opened.cache.getEntry(key, { peek: true, collections: true, allowStale: call.flag('stale') })
    if (call.flag('json')) {
      out.json(entry === undefined ? null : { key: toKeyForm(key), ...entryForm(entry) })
    } else if (entry === undefined) err.line(`There is no entry of "${shownKey(key)}".`)
    else if (call.flag('raw')) writeRaw(entry.value, out)
    else {
      out.line(inspect(entry.value, { depth: Infinity, colors: out.isTerminal && out.colour('bold', 'x') !== 'x' }))
      if (call.flag('meta')) printMeta(entry, out)
    }
    return entry === undefined ? 1 : 0
  },
}

/** An entry as JSON. */
function entryForm({ value, expiresAt, ...rest }: Entry): object {
  return { value: toJsonForm(value), expiresAt: expiresAt ?? null, ...rest }
}

function writeRaw(value: unknown, out: Output): void {
  if (typeof value === 'string' || types.isUint8Array(value)) out.write(value)
  else out.line(JSON.stringify(toJsonForm(value)))
}

function printMeta({ version, createdAt, expiresAt, size: bytes, stale }: Entry, out: Output): void {
  const now = Date.now()
  out.line()
  out.pairs([
    ['version', version],
    ['written', `${new Date(createdAt).toISOString()} (${duration(now - createdAt)} ago)`],
    ['expires', expiresAt === undefined ? 'never' : expiry(expiresAt, now)],
    ['size', size(bytes)],
    ['stale', stale ? 'yes' : 'no'],
  ])
}

function expiry(expiresAt: number, now: number): string {
  const left = expiresAt - now
  return `${new Date(expiresAt).toISOString()} (${left > 0 ? `in ${duration(left)}` : `${duration(-left)} ago`})`
}
