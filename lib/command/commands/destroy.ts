/** `destroy`: deletes a segment. */
import { placeOf } from '../command.ts'
import type { Command } from '../command.ts'
import { NotFound } from '../failure.ts'
import { cut, shownText } from '../output.ts'
import { seen } from '../../segment/seen-processes.ts'
import { CacheError } from '../../errors.ts'
import { SEGMENT } from '../grammar.ts'

export const destroy: Command = {
  name: 'destroy',
  summary: 'delete a segment with all its data',
  about: [
    'Frees the memory. Refuses while processes have the segment open, and names them. With --force their handles move to a ' +
      'new, empty segment at their next call.',
    'The exit code is 1 if there is no such segment, or if it is in use.',
  ],
  parameters: [SEGMENT],
  options: { force: { type: 'flag', short: 'f', what: 'destroy it while processes have it open' } },
  examples: [
    ['cache-machine destroy app', 'a segment that no process uses'],
    ['cache-machine destroy app --force', 'also one in use'],
  ],
  json: 'an object with "destroyed": true',
  run(call, { out, segments }) {
    const name = call.parameter(0)
    const place = placeOf(call)
    try {
      if (!segments.destroy(name, { ...place, force: call.flag('force') })) throw new NotFound(name, place, segments)
    } catch (error) {
      if (!(error instanceof CacheError) || error.code !== 'ERR_SEGMENT_IN_USE') throw error
      const info = segments.inspect(name, place)
      const users = (info?.processes ?? []).map((process) => seen(process, info?.path ?? ''))
      const names = users.map(({ pid, title }) => `${pid} ${cut(shownText(title ?? '(unseen)'), 60)}`).join('; ')
      const hint = `Stop these processes first: ${names}. Or pass --force: they then open a new segment.`
      throw new CacheError(error.code, `the segment "${name}" is in use: ${error.message}`, { hint, cause: error })
    }
    if (call.flag('json')) out.json({ destroyed: true })
    else out.line(`Destroyed "${name}".`)
    return 0
  },
}
