/**
 * Outcomes of suites: how many tests passed and failed, which were skipped, and the output to show after a failure.
 */
import { capture } from '../setup.mjs'

export const minutes = 60_000

/**
 * `skipped` has the names of the tests.
 *
 * @typedef {{ passed: number, failed: number, skipped: string[], output: string }} Outcome
 * @type {Outcome}
 */
export const nothing = { passed: 0, failed: 0, skipped: [], output: '' }
export const success = { ...nothing, passed: 1 }

/** @returns {Outcome} */
export function failure(output) {
  return { ...nothing, failed: 1, output }
}

/** @returns {Outcome} */
export function skipped(...names) {
  return { ...nothing, skipped: names }
}

/** @returns {Outcome} */
export function add(a, b) {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: [...a.skipped, ...b.skipped],
    output: [a.output, b.output].filter(Boolean).join('\n'),
  }
}

/** The sum of an outcome as one line. */
export function sumOf({ passed, failed, skipped: names }) {
  return `${passed} passed, ${failed} failed${names.length > 0 ? `, ${names.length} skipped` : ''}`
}

/** Runs a program and takes its exit code for the result of one test. */
export async function check(name, command, args, { timeout = 10 * minutes } = {}) {
  const { code, output } = await capture(command, args, { timeout })
  if (code === 0) return { ...success, output }
  // Some Rust installations lack clippy or rustfmt.
  if (command === 'cargo' && /no such command|is not installed for the toolchain/.test(output)) {
    return skipped(`${name}: this Rust toolchain has no ${args[0]}`)
  }
  return failure(`${output.trimEnd()}\n${name} ended with ${code}`)
}

/** One test: passes when `problems` is empty. `title` is printed above the problems. */
export function judge(title, problems) {
  if (problems.length === 0) return success
  return failure(`${title}: ${problems.length}\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
}

/** Prints an outcome as the last lines of a program, and sets the exit code. */
export function report(outcome) {
  if (outcome.output !== '') console.log(outcome.output)
  for (const name of outcome.skipped) console.log(`skipped: ${name}`)
  console.log(sumOf(outcome))
  process.exitCode = outcome.failed === 0 && outcome.passed > 0 ? 0 : 1
}
