/**
 * The suites `ava` and `portable`: run the specs on the native engine, and those of the public API on the portable one.
 * Both check that AVA loaded each spec.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { capture, root, toolPath } from '../setup.mjs'
import { add, failure, minutes, nothing } from './outcomes.mjs'

/** In the title of a test that the portable engine cannot run; see `__test__/helpers/engine.ts`. */
const NOT_APPLICABLE = / \[needs [^\]]+\]$/

/** The specs of the public API on the portable engine. Tests that need the native engine are listed, and not counted. */
export async function runPortableSpecs() {
  const files = specFiles().filter((file) => relative(root, file).startsWith('__test__/api/'))
  const outcome = await runSpecs({ files, env: { CACHE_MACHINE_ENGINE: 'portable' } })
  for (const title of outcome.skipped.filter((name) => NOT_APPLICABLE.test(name))) {
    console.log(`  not applicable: ${title}`)
  }
  return { ...outcome, skipped: outcome.skipped.filter((name) => !NOT_APPLICABLE.test(name)) }
}

/**
 * Runs specs, all by default.
 *
 * @param {{ files?: string[], program?: string, args?: string[], env?: Record<string, string>, timeout?: number }} [options]
 *   `program` and `args`: how AVA is started. `timeout`: in milliseconds; it includes the build of a second addon, which
 *   one spec needs the first time.
 */
export async function runSpecs({ files = specFiles(), program, args = [], env, timeout = 15 * minutes } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-test-'))
  const reportFile = join(folder, 'report.json')
  try {
    const variables = { ...env, CACHE_MACHINE_AVA_REPORT: reportFile }
    const { code, output } = await capture(program ?? toolPath('ava'), [...args, ...files], { env: variables, timeout })
    const report = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, 'utf8')) : {}
    if (report.stats === undefined) return failure(`${output}\nAVA ended with ${code} before it ran a test`)
    return add(outcomeOf(report, code, output), checkSpecsRan(report, files))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function outcomeOf({ stats, skipped }, code, output) {
  const broken = stats.remainingTests + stats.failedHooks + stats.uncaughtExceptions + stats.unhandledRejections
  const failed = stats.failedTests + broken
  const passed = stats.passedTests + stats.passedKnownFailingTests
  return { passed, failed: code === 0 ? failed : Math.max(failed, 1), skipped, output }
}

/** Without this check, a spec that AVA never loaded and a forgotten `test.only` would count as success. */
function checkSpecsRan(report, files) {
  const problems = []
  for (const file of files) {
    const stats = report.files[file]
    const left = stats === undefined ? 0 : stats.declaredTests - stats.selectedTests
    if (!stats?.declaredTests) problems.push(`${relative(root, file)} did not run`)
    if (left > 0) problems.push(`${relative(root, file)}: tests not selected: ${left}`)
  }
  return problems.length === 0 ? nothing : failure(problems.join('\n'))
}

/**
 * The absolute paths of all specs that run on this major version of Node.js. A spec in a folder `node22` has a host that
 * asks for Node.js 22; ava.config.js leaves out the same ones.
 */
export function specFiles(major = process.versions.node.split('.')[0]) {
  const runs = (file) => Number(/\/node(\d+)\//.exec(file)?.[1] ?? 0) <= Number(major)
  return ['__test__', 'benches/test'].flatMap((folder) => {
    const names = readdirSync(join(root, folder), { recursive: true })
    const specs = names.filter((name) => /\.spec\.(?:ts|mjs)$/.test(name))
    return specs.map((name) => join(root, folder, name)).filter((file) => runs(relative(root, file)))
  })
}
