/**
 * A suite that Vitest runs.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const vitest = '4.1.12'
export const command = ['vitest', 'run', '--reporter=default', '--reporter=json', '--outputFile.json=report.json']

/** The counts of a run with `command`. */
export function countsOf(_output, folder) {
  const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))
  const { numPassedTests: passed, numFailedTests, numPendingTests, numTodoTests, testResults } = report
  // A file that could not be loaded has no tests.
  const broken = testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  )
  return { passed, failed: numFailedTests + broken.length, skipped: numPendingTests + numTodoTests }
}
