/**
 * Small files in which the system tells something: those of `/proc`, of cgroups, of the configuration.
 */
import { readFileSync } from 'node:fs'

/** The text of a file; empty if it is not there or cannot be read. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
