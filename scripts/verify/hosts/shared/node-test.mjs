/**
 * A suite that the test runner of Node.js runs.
 */

export const command = ['node', '--test', '--test-reporter=tap', '--test-force-exit']

/** The counts of a run with `command`. */
export function countsOf(output) {
  const count = (name) => Number(new RegExp(`^# ${name} (\\d+)$`, 'm').exec(output)?.[1] ?? Number.NaN)
  return {
    passed: count('pass'),
    failed: count('fail') + count('cancelled'),
    skipped: count('skipped') + count('todo'),
  }
}
