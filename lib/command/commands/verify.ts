/** `verify`: reads every entry, and checks the structures of the segment. */
import { openSegment } from '../command.ts'
import type { Command, InspectedCache, World } from '../command.ts'
import { count, shownKey, some } from '../output.ts'
import { Progress } from '../progress.ts'
import { toKeyForm } from '../values.ts'
import { CacheError } from '../../errors.ts'
import type { Key } from '../../arguments/keys.ts'
import { SEGMENT } from '../grammar.ts'

/** Maximum number of keys that the report names. */
const MAX_NAMED = 20

interface Found {
  namespace: string
  key: Key
  code: string
}

export const verify: Command = {
  name: 'verify',
  summary: 'read and decode every entry, and check the structures of the segment',
  about: [
    'Reads all entries of all namespaces without a trace, and decodes each value: a value that is damaged is found. Then it ' +
      'checks index, space and queues of each shard against each other. For that it holds the lock of one shard after the ' +
      'other, some milliseconds each, and writers wait.',
    'Values of a custom codec are counted and not decoded. If a suspended process holds a shard, its structures cannot be ' +
      'checked, and the report says so.',
    'The exit code is 1 if anything is damaged, or could not be checked.',
  ],
  parameters: [SEGMENT],
  options: {},
  examples: [['cache-machine verify app', 'after a crash, or when doctor reports damage']],
  json:
    'an object with "entries", "foreign" (of another codec), "damaged" (an array of "namespace", "key", "code"; at most 20), ' +
    '"damagedEntries" (their number), "structures" (an array of contradictions) and "unchecked" (why the structures ' +
    'could not be checked, or null)',
  async run(call, world) {
    using opened = openSegment(call, world)
    const { root } = opened
    const progress = new Progress(world.err, `verify ${call.parameter(0)}`)
    const { namespaces, entries: total } = root.stats()
    const report = { entries: 0, foreign: 0, damagedEntries: 0, damaged: [] as Found[] }
    for (const namespace of ['', ...namespaces]) {
      const cache = namespace === '' ? root : root.namespace(namespace)
      for await (const key of cache.keys({ signal: world.signal })) {
        progress.show(++report.entries, Math.max(total, report.entries))
        const code = problemOf(cache, key)
        if (code === 'ERR_CODEC_MISMATCH') report.foreign++
        else if (code !== undefined) {
          report.damagedEntries++
          if (report.damaged.length < MAX_NAMED) report.damaged.push({ namespace, key, code })
        }
      }
    }
    progress.end()
    const { structures, unchecked } = structuresOf(root, world)
    const isFine = report.damagedEntries === 0 && structures.length === 0 && unchecked === null
    if (call.flag('json')) {
      const damaged = report.damaged.map((found) => ({ ...found, key: toKeyForm(found.key) }))
      world.out.json({ ...report, damaged, structures, unchecked })
      return isFine ? 0 : 1
    }
    world.out.line(`Read ${some(report.entries, 'entry', 'entries')}, ${count(report.foreign)} of another codec.`)
    for (const { namespace, key, code } of report.damaged) {
      world.out.line(`damaged: ${namespace === '' ? '' : `${namespace}: `}${shownKey(key)} (${code})`)
    }
    for (const problem of structures) world.out.line(`structure: ${problem}`)
    if (unchecked !== null) world.out.line(`The structures could not be checked: ${unchecked}`)
    world.out.line(
      isFine
        ? world.out.colour('green', 'All entries and structures are right.')
        : world.out.colour(
            'red',
            `${some(report.damagedEntries, 'entry', 'entries')} damaged, ${some(structures.length, 'contradiction')}.`,
          ),
    )
    return isFine ? 0 : 1
  },
}

function problemOf(cache: InspectedCache, key: Key): string | undefined {
  try {
    cache.getEntry(key, { peek: true, collections: true })
    return undefined
  } catch (error) {
    if (error instanceof CacheError) return error.code
    throw error
  }
}

function structuresOf(cache: InspectedCache, { problems }: World): { structures: string[]; unchecked: string | null } {
  try {
    return { structures: problems(cache), unchecked: null }
  } catch (error) {
    if (error instanceof CacheError) return { structures: [], unchecked: `${error.message} (${error.code})` }
    throw error
  }
}
