/**
 * Warnings about other segments of the same name, which a process does not share although its author may think so: those
 * of another layout during an update of the package, and those of another user or of a group.
 *
 * The first `open` of a name in a thread reads the names of the files in the folder once.
 */
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { native } from '../engine/engine.ts'
import type { NativePlace } from '../native/addon.ts'
import { isPortablePath } from '../portable/marks.ts'

/** The segments for which this thread has looked for neighbours. */
const looked = new Set<string>()

/** A segment by the name of its file. */
interface Named {
  readonly layout: number
  /** `user 1000` or `group 33`. */
  readonly owner: string
  readonly name: string
}

/**
 * Emits a process warning for each segment of the same name that processes with another layout have open, or that has
 * items of queues of an earlier layout, and for each of another user or of a group, once for each segment and thread. `place`: as in `open`.
 */
export function warnOfNeighbours(path: string, place: NativePlace): void {
  if (looked.has(path) || isPortablePath(path)) return
  looked.add(path)
  const own = parse(basename(path))
  if (own === undefined) return
  const namesakes = filesIn(dirname(path))
    .flatMap((file) => parse(file) ?? [])
    .filter(({ name }) => name === own.name)
  const others = new Set(namesakes.map(({ owner }) => owner).filter((owner) => owner !== own.owner))
  for (const owner of others) warnOfOwner(own, owner)
  if (namesakes.some(({ owner, layout }) => owner === own.owner && layout !== own.layout)) warnOfLayouts(own, place)
}

/** Undefined: no file of a segment. The private file of a creator is none, and neither is a region. */
function parse(file: string): Named | undefined {
  const [, layout, of, id, name] = /^cache-machine\.(\d+)\.(g?)(\d+)\.([\w.-]+)$/.exec(file) ?? []
  return name === undefined
    ? undefined
    : { layout: Number(layout), owner: `${of === 'g' ? 'group' : 'user'} ${id}`, name }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function warnOfOwner({ name, owner: own }: Named, owner: string): void {
  process.emitWarning(`the segment "${name}" of ${own} is not shared with that of the same name of ${owner}`, {
    type: 'CacheMachineWarning',
    code: 'CACHE_MACHINE_OTHER_USER',
    detail:
      'Run all processes that share a cache as one user, or pass the same group to open in all of them. If these are two ' +
      'applications, ignore this warning.',
  })
}

function warnOfItems(name: string, layout: number, path: string): void {
  process.emitWarning(`the segment "${name}" of layout ${layout} has items of queues that were never done: ${path}`, {
    type: 'CacheMachineWarning',
    code: 'CACHE_MACHINE_ITEMS_LEFT',
    detail:
      'An earlier version of cache-machine made it, and this one does not read it. Let workers with that version finish ' +
      'the items, or delete the file.',
  })
}

function warnOfLayouts({ name, layout: own }: Named, place: NativePlace): void {
  const infos = native.segmentsList(place, 'native')
  for (const { name: other, layoutVersion, processes, path } of infos) {
    if (other !== name || layoutVersion === own) continue
    if (processes.length === 0) {
      // `open` has just removed every other one.
      if (layoutVersion < own) warnOfItems(name, layoutVersion, path)
      continue
    }
    const pids = processes.map(({ pid }) => pid).join(', ')
    process.emitWarning(
      `the segment "${name}" exists twice: this process has layout ${own}, and processes ${pids} have layout ` +
        `${layoutVersion}`,
      {
        type: 'CacheMachineWarning',
        code: 'CACHE_MACHINE_OTHER_LAYOUT',
        detail:
          'They have another version of cache-machine. Until they end, entries are not shared with them, and each lock, ' +
          'limit and load exists twice.',
      },
    )
  }
}
