/** `restore`: reads the entries of a snapshot. */
import { openSegment } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { duration, some } from '../output.ts'
import { Progress } from '../progress.ts'
import { FILE, NAMESPACE, SEGMENT } from '../grammar.ts'

/** The entries that were not stored, by reason. */
const REASONS = {
  existing: 'kept what is there',
  expired: 'expired since',
  ended: 'cleared or invalidated since',
  noRoom: 'without room',
  tooLarge: 'too large for this segment',
} as const

export const restore: Command = {
  name: 'restore',
  summary: 'read the entries of a snapshot into a segment or a namespace',
  about: [
    'Reads a file of "snapshot". The whole file is checked first: a damaged one changes nothing. Entries that are there stay, ' +
      'unless --overwrite or --replace says otherwise. A lifetime counts the time since the snapshot.',
    'With --replace the entries of the file take the place of all others, which are deleted at the end.',
    'The segment must exist. The exit code is 1 if entries had no room.',
  ],
  parameters: [SEGMENT, FILE],
  options: {
    namespace: NAMESPACE,
    overwrite: { type: 'flag', what: 'entries of the file replace those that are there' },
    replace: { type: 'flag', what: 'also delete all entries that are not in the file' },
  },
  examples: [
    ['cache-machine restore app app.snapshot', 'add what is missing'],
    ['cache-machine restore app app.snapshot --replace', 'make it as it was'],
  ],
  json:
    'an object with "createdAt", "packageVersion", "entries", "restored", "existing", "expired", "ended", "noRoom", ' +
    '"tooLarge", "evicted", "deleted", "quotasLeft" and "duration", as that of cache.restore()',
  async run(call, world): Promise<ExitCode> {
    using opened = openSegment(call, world)
    const progress = new Progress(world.err, `restore ${call.parameter(0)}`)
    const info = await opened.cache
      .restore(call.parameter(1), {
        mode: call.flag('replace') ? 'replace' : 'merge',
        overwrite: call.flag('overwrite'),
        signal: world.signal,
        onProgress: (entries, total) => progress.show(entries, total),
      })
      .finally(() => progress.end())
    const exitCode = info.noRoom + info.tooLarge + info.evicted === 0 ? 0 : 1
    if (call.flag('json')) {
      world.out.json(info)
      return exitCode
    }
    const { out } = world
    const { entries, restored, deleted, evicted, quotasLeft } = info
    const made = new Date(info.createdAt).toISOString()
    out.line(`Restored ${restored} of ${some(entries, 'entry', 'entries')} of ${made}, in ${duration(info.duration)}.`)
    for (const reason of Object.keys(REASONS) as (keyof typeof REASONS)[]) {
      if (info[reason] > 0) out.line(`${some(info[reason], 'entry', 'entries')}: ${REASONS[reason]}`)
    }
    if (deleted > 0) out.line(`Deleted ${some(deleted, 'entry', 'entries')} that the file does not have.`)
    if (evicted > 0) out.line(`The segment is too small: ${some(evicted, 'entry', 'entries')} evicted meanwhile.`)
    if (quotasLeft.length > 0) out.line(`Quotas that did not fit: ${quotasLeft.join(', ')}`)
    return exitCode
  },
}
