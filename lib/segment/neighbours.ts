/**
 * Warnings about other segments of the same name, which a process does not share although its author may think so: those
 * of another layout during an update of the package, and those of another user.
 *
 * The first `open` of a name in a thread reads the names of the files in the folder once.
 */
import { readdirSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { native } from '../engine/engine.ts'
import { isPortablePath } from '../portable/marks.ts'

/** The segments for which this thread has looked for neighbours. */
const looked = new Set<string>()

/** A segment by the name of its file. */
interface Named {
  readonly layout: number
  readonly user: number
  readonly name: string
}

/**
 * Emits a process warning for each segment of the same name that processes with another layout have open, and for each
 * of another user, once for each segment and thread. `directory`: as in `open`.
 */
export function warnOfNeighbours(path: string, directory: string | undefined): void {
  if (looked.has(path) || isPortablePath(path)) return
  looked.add(path)
  const own = parse(basename(path))
  if (own === undefined) return
  const namesakes = filesIn(dirname(path))
    .flatMap((file) => parse(file) ?? [])
    .filter(({ name }) => name === own.name)
  const others = new Set(namesakes.map(({ user }) => user).filter((user) => user !== own.user))
  for (const user of others) warnOfUser(own, user)
  if (namesakes.some(({ user, layout }) => user === own.user && layout !== own.layout)) warnOfLayouts(own, directory)
}

/** Undefined: no file of a segment. The private file of a creator is none, and neither is a region. */
function parse(file: string): Named | undefined {
  const [, layout, user, name] = /^cache-machine\.(\d+)\.(\d+)\.([\w.-]+)$/.exec(file) ?? []
  return name === undefined ? undefined : { layout: Number(layout), user: Number(user), name }
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function warnOfUser({ name, user: own }: Named, user: number): void {
  process.emitWarning(`the segment "${name}" of user ${own} is not shared with that of the same name of user ${user}`, {
    type: 'CacheMachineWarning',
    code: 'CACHE_MACHINE_OTHER_USER',
    detail: 'Run all processes that share a cache as one user. If these are two applications, ignore this warning.',
  })
}

function warnOfLayouts({ name, layout: own }: Named, directory: string | undefined): void {
  const infos = native.segmentsList(directory, 'native')
  for (const { name: other, layoutVersion, processes } of infos) {
    if (other !== name || layoutVersion === own || processes.length === 0) continue
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
