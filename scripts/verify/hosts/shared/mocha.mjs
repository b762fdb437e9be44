/**
 * A suite that Mocha runs.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The options with which Mocha writes the file that `countsOf` reads. */
export const reporting = ['--reporter', 'json', '--reporter-option', 'output=report.json', '--exit']

/** The counts of a run with `reporting`. */
export function countsOf(_output, folder) {
  // Without a report the suite did not start, and its output tells why.
  if (!existsSync(join(folder, 'report.json'))) return { passed: 0, failed: 1, skipped: 0 }
  const { stats } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))
  return { passed: stats.passes, failed: stats.failures, skipped: stats.pending }
}
