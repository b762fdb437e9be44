/**
 * `npm test`: every check, in a fresh clone as well.
 *
 *   npm test                       everything; exit code 0 when nothing failed and something ran
 *   npm test -- --only ava,cargo   these suites only
 *   npm test -- --node 24          on this version of Node.js, which comes from the npm registry
 *   npm test -- --verbose          shows the output of every suite, not only of those that failed
 *
 * Counts come from each runner's own report. A check such as clippy counts as one test. The last line is the sum.
 * With `CI` set, a skipped test makes the run fail.
 */
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { suites } from '../catalogue.mjs'
import { ensureBuild, ensureDependencies, inCi } from '../setup.mjs'
import { useNode } from '../setup/runtimes.mjs'
import { runCargoTests, runKillTests, runLoomTests } from './cargo-tests.mjs'
import { checkDrift } from './drift.mjs'
import { checkLeftovers, runFuzzTargets, runSpinModels, runStory, runTorture } from './long-runs.mjs'
import { add, failure, minutes, nothing, sumOf } from './outcomes.mjs'
import { checkRuntimes } from './runtimes.mjs'
import { checkPackages } from './package.mjs'
import { runPortableSpecs, runSpecs } from './specs.mjs'
import { checkFormatting, checkTypes, checkWithClippy, checkWithOxlint } from './static.mjs'
import { checkStructure } from './structure.mjs'

/** How each suite of the catalogue runs. `needsBuild`: whether it uses what `npm run build` makes. */
const runners = {
  formatting: { run: checkFormatting },
  clippy: { run: checkWithClippy },
  oxlint: { run: checkWithOxlint },
  types: { run: checkTypes, needsBuild: true },
  drift: { run: checkDrift, needsBuild: true },
  structure: { run: checkStructure },
  package: { run: checkPackages, needsBuild: true },
  cargo: { run: runCargoTests },
  kill: { run: runKillTests },
  loom: { run: runLoomTests },
  models: { run: runSpinModels },
  ava: { run: () => runSpecs(), needsBuild: true },
  portable: { run: runPortableSpecs, needsBuild: true },
  runtimes: { run: checkRuntimes, needsBuild: true },
  fuzz: { run: runFuzzTargets, needsBuild: true },
  torture: { run: runTorture, needsBuild: true },
  story: { run: runStory, needsBuild: true },
  leftovers: { run: checkLeftovers },
}

const { values: options } = parseArgs({
  options: { only: { type: 'string' }, node: { type: 'string' }, verbose: { type: 'boolean' } },
})

await main()

async function main() {
  const selected = selectSuites().map((suite) => ({ ...suite, ...runners[suite.id] }))
  const setupError = await setUp(selected)

  const rows = []
  for (const suite of selected) rows.push(await runSuite(suite, setupError))
  reportSum(rows)
}

function selectSuites() {
  if (options.only === undefined) return suites
  const wanted = options.only.split(',').map((id) => id.trim())
  const unknown = wanted.filter((id) => !suites.some((suite) => suite.id === id))
  if (unknown.length === 0) return suites.filter((suite) => wanted.includes(suite.id))
  console.error(`No such suite: ${unknown.join(', ')}. There are: ${suites.map((suite) => suite.id).join(', ')}`)
  process.exit(2)
}

/** Returns the error that prevents the suites that need a build, if there is one. */
async function setUp(selected) {
  try {
    await ensureDependencies()
    if (options.node !== undefined) await useNode(options.node)
    if (selected.some((suite) => suite.needsBuild)) await ensureBuild()
  } catch (error) {
    console.log(error.message)
    return error
  }
  return undefined
}

async function runSuite({ title, needsBuild, run }, setupError) {
  console.log(`\n${title}`)
  const start = performance.now()
  const waiting = setInterval(() => console.log(`  … ${seconds(start)}`), minutes)
  const outcome = needsBuild && setupError ? failure('Not run: the setup failed, see above.') : await guarded(run)
  clearInterval(waiting)

  if ((options.verbose || outcome.failed > 0) && outcome.output !== '') console.log(indent(outcome.output))
  for (const name of outcome.skipped) console.log(`  skipped: ${name}`)
  console.log(`  ${sumOf(outcome)} (${seconds(start)})`)
  return { title, time: seconds(start), ...outcome }
}

async function guarded(run) {
  try {
    return await run()
  } catch (error) {
    return failure(error.stack)
  }
}

function reportSum(rows) {
  const total = rows.reduce(add, nothing)
  console.log(`\n${table(rows)}\n`)
  if (inCi && total.skipped.length > 0) console.log('CI is set, so a skipped test is a failure.\n')
  if (total.passed + total.failed === 0) console.log('Nothing ran.\n')
  console.log(sumOf(total))
  const isGood = total.failed === 0 && total.passed > 0 && !(inCi && total.skipped.length > 0)
  process.exitCode = isGood ? 0 : 1
}

function indent(text) {
  return stripVTControlCharacters(text).trimEnd().replaceAll(/^/gm, '  | ')
}

function seconds(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`
}

function table(rows) {
  const cells = rows.map(({ title, passed, failed, skipped, time }) => [title, passed, failed, skipped.length, time])
  const line = ([title, ...rest]) => title.padEnd(16) + rest.map((cell) => `${cell}`.padStart(9)).join('')
  return [['Suite', 'passed', 'failed', 'skipped', 'time'], ...cells].map(line).join('\n')
}
