/**
 * The table of commands, in the order of the help. Parsing, help, completion and the reference page come from it.
 */
import type { Command } from './command.ts'
import { bench } from './commands/bench.ts'
import { clear } from './commands/clear.ts'
import { completionOf } from './commands/completion.ts'
import { del } from './commands/del.ts'
import { destroy } from './commands/destroy.ts'
import { doctor } from './commands/doctor.ts'
import { get } from './commands/get.ts'
import { health } from './commands/health.ts'
import { inspect } from './commands/inspect.ts'
import { keys } from './commands/keys.ts'
import { list } from './commands/list.ts'
import { locks } from './commands/locks.ts'
import { monitor } from './commands/monitor.ts'
import { resize } from './commands/resize.ts'
import { restore } from './commands/restore.ts'
import { set } from './commands/set.ts'
import { snapshot } from './commands/snapshot.ts'
import { stats } from './commands/stats.ts'
import { tags } from './commands/tags.ts'
import { top } from './commands/top.ts'
import { ttl } from './commands/ttl.ts'
import { ui } from './commands/ui.ts'
import { verify } from './commands/verify.ts'
import { watch } from './commands/watch.ts'

/** Commands that belong together, as the help shows them. */
export interface Group {
  readonly title: string
  readonly commands: readonly Command[]
}

export const GROUPS: readonly Group[] = [
  {
    title: 'Segments',
    commands: [list, inspect, stats, health, doctor, verify, snapshot, restore, resize, clear, destroy],
  },
  { title: 'Entries', commands: [get, set, del, keys, ttl, tags] },
  { title: 'Live', commands: [ui, top, watch, monitor, locks] },
  { title: 'More', commands: [bench, completionOf(() => COMMANDS)] },
]

export const COMMANDS: readonly Command[] = GROUPS.flatMap(({ commands }) => commands)
