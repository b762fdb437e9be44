/**
 * The processes of a segment, as the system shows them: title, and whether they run.
 *
 * A segment knows the number of each process in its own PID namespace. Here the same number may be another process, so a
 * process is only described if it has the segment mapped.
 */
import type { SegmentProcess } from './segments.ts'
import { textOf } from './system-files.ts'

/**
 * - `running`: it runs, or could at any time.
 * - `suspended`: stopped by a signal (SIGSTOP, SIGTSTP) or a debugger.
 * - `unseen`: alive, and out of sight: in another PID namespace, as in another container, or with more rights than this
 *   process.
 */
export type ProcessState = 'running' | 'suspended' | 'unseen'

export interface SeenProcess extends SegmentProcess {
  readonly state: ProcessState
  /** Its command line; undefined if it is unseen. */
  readonly title: string | undefined
}

/** What the system says about a process of the segment behind `path`. `proc`: another folder, for tests. */
export function seen(process: SegmentProcess, path: string, proc = '/proc'): SeenProcess {
  const folder = `${proc}/${process.pid}`
  if (!textOf(`${folder}/maps`).includes(path)) return { ...process, state: 'unseen', title: undefined }
  const isSuspended = /^State:\s+[Tt]/m.test(textOf(`${folder}/status`))
  const title = textOf(`${folder}/cmdline`).replaceAll(/\s|\0/g, ' ').trim()
  return { ...process, state: isSuspended ? 'suspended' : 'running', title }
}
