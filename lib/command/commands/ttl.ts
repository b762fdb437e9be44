/** `ttl`: the remaining lifetime of an entry, and a new one. */
import { keyOf, openSegment } from '../command.ts'
import type { Command } from '../command.ts'
import { duration, shownKey } from '../output.ts'
import { toKeyForm } from '../values.ts'
import { HEX, KEY, NAMESPACE, SEGMENT } from '../grammar.ts'

export const ttl: Command = {
  name: 'ttl',
  summary: 'print the remaining lifetime of a key, or set it',
  about: ['Without --set it leaves no trace. The exit code is 1 if there is no entry.'],
  parameters: [SEGMENT, KEY],
  options: {
    namespace: NAMESPACE,
    hex: HEX,
    set: { type: 'duration', short: 's', value: 'TIME', what: 'a new lifetime from now: 30s, 5m, or never' },
  },
  examples: [
    ['cache-machine ttl app session:1', 'how long it lives'],
    ['cache-machine ttl app session:1 --set 20m', 'twenty minutes from now'],
    ['cache-machine ttl app session:1 --set never', 'no expiry'],
  ],
  json: 'an object with "key" and "ttl" (milliseconds; null if it does not expire); null if there is no entry',
  run(call, world) {
    const wanted = call.duration('set', 'never')
    using opened = openSegment(call, world)
    const { cache } = opened
    const key = keyOf(call.parameter(1), call)
    if (wanted === Infinity) cache.persist(key)
    else if (wanted !== undefined) cache.touch(key, wanted)
    const left = cache.ttl(key)
    if (call.flag('json')) {
      world.out.json(left === undefined ? null : { key: toKeyForm(key), ttl: left === Infinity ? null : left })
    } else if (left === undefined) world.err.line(`There is no entry of "${shownKey(key)}".`)
    else world.out.line(duration(left))
    return left === undefined ? 1 : 0
  },
}
