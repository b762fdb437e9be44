/**
 * What is wrong with a segment, as seen from outside.
 */
import type { HealthStatus } from '../segment/health.ts'
import type { SegmentInfo } from '../segment/segments.ts'
import type { SeenProcess } from '../segment/seen-processes.ts'

export interface Health {
  readonly verdict: HealthStatus
  /** In a few words. */
  readonly text: string
  readonly hint: string | undefined
}

/** `ownLayout`: the layout version of this package, or undefined if no segment of it is known. */
export function healthOf(info: SegmentInfo, processes: readonly SeenProcess[]): Health {
  if (!info.readable) {
    return {
      verdict: 'problem',
      text: `unreadable (layout ${info.layoutVersion})`,
      hint:
        'Another version of this package made it, or it is damaged. Use the cache-machine command of that version. When ' +
        `no process uses it, delete ${info.path}.`,
    }
  }
  const suspended = processes.filter(({ state }) => state === 'suspended')
  if (suspended.length > 0) {
    const names = suspended.map(({ pid, title }) => `${pid} (${(title ?? '').slice(0, 40)})`).join(', ')
    return {
      verdict: 'problem',
      text: `${suspended.length} suspended`,
      hint:
        `The process ${names} is suspended (SIGSTOP, a debugger). If it is inside a write, other writers get ERR_BUSY. ` +
        `Resume it (kill -CONT ${suspended[0]?.pid}) or end it.`,
    }
  }
  if (info.limitBytes < info.size) {
    return {
      verdict: 'warning',
      text: 'limit below size',
      hint:
        'The file system or the cgroup of this process has less memory than the segment may take. "cache-machine doctor" ' +
        'tells which one.',
    }
  }
  return { verdict: 'ok', text: processes.length === 0 ? 'unused' : 'ok', hint: undefined }
}
