/** `snapshot`: writes all entries to a file. */
import { openSegment } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { duration, size, some } from '../output.ts'
import { Progress } from '../progress.ts'
import { FILE, NAMESPACE, SEGMENT } from '../grammar.ts'

export const snapshot: Command = {
  name: 'snapshot',
  summary: 'write all entries of a segment or of a namespace to a file',
  about: [
    'Writes all entries with their lifetimes and tags, of a segment those of all namespaces, while programs use it. The file ' +
      'is written aside and renamed, so FILE is the old file or the new one, whole, whatever happens. Only this user can ' +
      'read it.',
    'Each entry is as it was at one moment of the work. Locks, limits and metrics are no entries. "restore" reads the file, ' +
      'also into a segment of another size, and on another host.',
  ],
  parameters: [SEGMENT, FILE],
  options: { namespace: NAMESPACE, uncompressed: { type: 'flag', what: 'do not compress the entries' } },
  examples: [
    ['cache-machine snapshot app app.snapshot', 'the whole segment'],
    ['cache-machine snapshot app sessions.snapshot -n sessions', 'one namespace'],
  ],
  json: 'an object with "path", "createdAt", "entries", "bytes", "fileBytes" and "duration", as that of cache.snapshot()',
  async run(call, world): Promise<ExitCode> {
    using opened = openSegment(call, world)
    const progress = new Progress(world.err, `snapshot ${call.parameter(0)}`)
    const { entries: total } = opened.cache.stats()
    const info = await opened.cache
      .snapshot(call.parameter(1), {
        compression: call.flag('uncompressed') ? 'none' : 'brotli',
        signal: world.signal,
        onProgress: (entries) => progress.show(entries, Math.max(total, entries)),
      })
      .finally(() => progress.end())
    if (call.flag('json')) world.out.json(info)
    else {
      const { path, entries, bytes, fileBytes, duration: time } = info
      const taken = `${size(bytes)} as ${size(fileBytes)}, in ${duration(time)}`
      world.out.line(`Wrote ${some(entries, 'entry', 'entries')} to ${path}: ${taken}.`)
    }
    return 0
  },
}
