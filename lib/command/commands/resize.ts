/** `resize`: gives a segment another size while it is in use. */
import { placeOf } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { CacheError } from '../../errors.ts'
import { parseBytes } from '../../arguments/units.ts'
import { duration, size, some } from '../output.ts'
import { NotFound } from '../failure.ts'
import { Progress } from '../progress.ts'
import { SEGMENT } from '../grammar.ts'

export const resize: Command = {
  name: 'resize',
  summary: 'give a segment another size while it is in use',
  about: [
    'Entries, lifetimes, tags, locks, limiters, metrics and counts stay, and the processes that have the segment open ' +
      'go on with it. Reads go on meanwhile; writes wait for it. A segment that becomes too small for its entries ' +
      'evicts some, as its policy says.',
    'Both sizes need memory at once, until all processes have moved. A process that opens the segment with another ' +
      'size still gets a warning, so change the size in the program as well.',
    'The exit code is 1 if there is no such segment, or if it keeps its size because something does not fit.',
  ],
  parameters: [SEGMENT, { name: 'size', what: 'the new size: bytes, or a number with kb, mb or gb' }],
  options: {},
  examples: [
    ['cache-machine resize app 256mb', 'more room'],
    ['cache-machine resize app 64mb', 'less room; entries that do not fit are evicted'],
  ],
  json: 'an object with "from" and "to" (bytes), "entries", "evicted" and "pausedMs" (milliseconds in which writes waited)',
  async run(call, { out, err, segments, resize: resizeSegment }): Promise<ExitCode> {
    const name = call.parameter(0)
    const place = placeOf(call)
    const text = call.parameter(1)
    const bytes = parseBytes(/^\d+$/.test(text) ? Number(text) : text.toLowerCase())
    if (!(bytes > 0)) {
      const hint = 'Pass a number of bytes, or a number with its unit: 512kb, 256mb or 2gb.'
      throw call.wrong(`the size is ${JSON.stringify(text)}, not a size`, hint)
    }
    let resized
    try {
      resized = await new Progress(err, `Resizing "${name}"`).during(resizeSegment(name, bytes, place))
    } catch (error) {
      if (error instanceof CacheError && error.code === 'ERR_NO_SEGMENT') throw new NotFound(name, place, segments)
      throw error
    }
    const { from, to, entries, evicted, pausedMs } = resized
    if (call.flag('json')) out.json(resized)
    else if (from === to) out.line(`"${name}" has ${size(to)} already.`)
    else {
      const lost = evicted === 0 ? 'none was evicted' : `${some(evicted, 'other was', 'others were')} evicted`
      out.line(`Resized "${name}" from ${size(from)} to ${size(to)}: ${some(entries, 'entry', 'entries')}, ${lost}.`)
      out.line(`Writes waited ${pausedMs < 1 ? 'less than 1 ms' : duration(pausedMs)}.`)
    }
    return 0
  },
}
