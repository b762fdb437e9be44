/**
 * `npm test`: every check there is, in a clean clone too.
 *
 *   npm test                       everything; exit code 0 when nothing failed and something ran
 *   npm test -- --only ava,cargo   these suites only
 *   npm test -- --verbose          with the output of every suite; otherwise only of those that failed
 *
 * Counts come from each runner's own report; a check such as clippy counts as one test. The last line is the sum.
 * With `CI` set, a skipped test makes the run fail.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs, stripVTControlCharacters } from 'node:util'
import { capture, ensureBuild, ensureDependencies, generatedFiles, regenerate, root } from './setup.mjs'

const suites = [
  { id: 'formatting', title: 'Formatting', run: checkFormatting },
  { id: 'clippy', title: 'Clippy', run: checkWithClippy },
  { id: 'oxlint', title: 'Oxlint', run: checkWithOxlint },
  { id: 'types', title: 'Type check', needsBuild: true, run: checkTypes },
  { id: 'drift', title: 'Generated files', needsBuild: true, run: checkDrift },
  { id: 'cargo', title: 'Rust tests', run: runCargoTests },
  { id: 'kill', title: 'Kill steps', run: runKillTests },
  { id: 'loom', title: 'Loom models', run: runLoomTests },
  { id: 'models', title: 'Spin models', run: runSpinModels },
  { id: 'ava', title: 'AVA specs', needsBuild: true, run: runAva },
  { id: 'fuzz', title: 'Fuzzing', needsBuild: true, run: runFuzzTargets },
  { id: 'torture', title: 'Torture', needsBuild: true, run: runTorture },
  { id: 'story', title: 'Story', needsBuild: true, run: runStory },
  { id: 'leftovers', title: 'Leftovers', run: checkLeftovers },
]

/** An outcome: `skipped` has names, `output` is what to show when something failed. */
const nothing = { passed: 0, failed: 0, skipped: [], output: '' }
const success = { ...nothing, passed: 1 }

const { values: options } = parseArgs({ options: { only: { type: 'string' }, verbose: { type: 'boolean' } } })
const inCi = ![undefined, '', '0', 'false'].includes(process.env.CI)
const minutes = 60_000

// As they were before this run could change anything.
const generatedBefore = readGenerated()
const segmentsBefore = listSegments()

await main()

async function main() {
  const selected = selectSuites()
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

/** Returns what prevents the suites that need a build, if anything does. */
async function setUp(selected) {
  try {
    await ensureDependencies()
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
  console.log(`  ${sum(outcome)} (${seconds(start)})`)
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
  console.log(sum(total))
  const isGood = total.failed === 0 && total.passed > 0 && !(inCi && total.skipped.length > 0)
  process.exitCode = isGood ? 0 : 1
}

// The suites.

async function checkFormatting() {
  // The fuzz targets are a workspace of their own.
  const fuzzTargets = ['--manifest-path', 'crates/core/fuzz/Cargo.toml']
  const outcomes = [
    await check('prettier', tool('prettier'), ['--check', '--log-level', 'warn', '.']),
    await check('cargo fmt', 'cargo', ['fmt', '--all', '--check']),
    await check('cargo fmt of the fuzz targets', 'cargo', ['fmt', ...fuzzTargets, '--check']),
  ]
  return outcomes.reduce(add)
}

function checkWithClippy() {
  const args = ['clippy', '--workspace', '--all-targets', '--all-features', '--', '-D', 'warnings']
  return check('clippy', 'cargo', args)
}

function checkWithOxlint() {
  return check('oxlint', tool('oxlint'), ['--deny-warnings'])
}

function checkTypes() {
  return check('tsc', tool('tsc'), ['--noEmit'])
}

/** The generated files must be what the sources generate: as they were before this run, and in CI as committed. */
async function checkDrift() {
  await regenerate()
  const generatedNow = readGenerated()
  const outcomes = generatedFiles.map((file) => compareGenerated(file, generatedBefore[file], generatedNow[file]))
  if (inCi) outcomes.push(await check('git diff', 'git', ['diff', '--exit-code', '--', ...generatedFiles]))
  return [...outcomes, ...(await checkPages())].reduce(add)
}

/** The generated parts of the documentation, which nothing here writes. */
async function checkPages() {
  const { makePages } = await import('./docs.mjs')
  const pages = await makePages()
  return pages.map(({ path, before, now }) => {
    return before === now ? success : failure(`${path} is out of date; \`npm run docs\` makes it anew: commit it`)
  })
}

function compareGenerated(file, before, now) {
  if (before === now) return success
  return failure(`${file} was ${before === undefined ? 'missing' : 'out of date'}; it is right now: commit it`)
}

function runCargoTests() {
  return cargoTest(['--workspace'])
}

function runKillTests() {
  const tests = ['crash', 'processes', 'linearizable', 'regions'].flatMap((test) => ['--test', test])
  return cargoTest(['-p', 'cache-machine-core', '--features', 'kill-steps', ...tests])
}

function runLoomTests() {
  const args = ['-p', 'cache-machine-shm', '--release', '--test', 'model']
  // Folder of their own: other flags would build everything anew, here and then in the next suite.
  return cargoTest([...args, '--target-dir', 'target/loom'], { RUSTFLAGS: '--cfg cache_machine_loom' })
}

async function runSpinModels() {
  const { runModels } = await import('./model.mjs')
  const { passed, failed, skipped = [], output = '' } = await runModels({ quick: true })
  return { passed, failed, skipped, output }
}

async function runAva() {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-test-'))
  const reportFile = join(folder, 'report.json')
  try {
    const env = { CACHE_MACHINE_AVA_REPORT: reportFile }
    // One of the specs builds another addon, the first time.
    const { code, output } = await capture(tool('ava'), [], { env, timeout: 15 * minutes })
    const report = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, 'utf8')) : {}
    if (report.stats === undefined) return failure(`${output}\nAVA ended with ${code} before it ran a test`)
    return add(avaOutcome(report, code, output), checkSpecsRan(report))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function avaOutcome({ stats, skipped }, code, output) {
  const broken = stats.remainingTests + stats.failedHooks + stats.uncaughtExceptions + stats.unhandledRejections
  const failed = stats.failedTests + broken
  const passed = stats.passedTests + stats.passedKnownFailingTests
  return { passed, failed: code === 0 ? failed : Math.max(failed, 1), skipped, output }
}

/** A spec that AVA never loaded, or a forgotten `test.only`, would look like success. */
function checkSpecsRan({ files }) {
  const problems = []
  for (const file of specFiles()) {
    const stats = files[file]
    const left = stats === undefined ? 0 : stats.declaredTests - stats.selectedTests
    if (!stats?.declaredTests) problems.push(`${relative(root, file)} did not run`)
    if (left > 0) problems.push(`${relative(root, file)}: tests not selected: ${left}`)
  }
  return problems.length === 0 ? nothing : failure(problems.join('\n'))
}

function specFiles() {
  return ['__test__', 'benches/test'].flatMap((folder) => {
    const names = readdirSync(join(root, folder), { recursive: true })
    return names.filter((name) => /\.spec\.(?:ts|mjs)$/.test(name)).map((name) => join(root, folder, name))
  })
}

/** A minute; the rounds are counted as tests, and what cannot be had here is skipped by name. */
async function runTorture() {
  const { code, output } = await capture(process.execPath, ['scripts/torture.mjs'], { timeout: 8 * minutes })
  const [, rounds] = /^(\d+) rounds, .*: 0 failed$/m.exec(output) ?? []
  if (code !== 0 || rounds === undefined) return failure(`${output.trimEnd()}\nThe torture ended with ${code}`)
  const skipped = [...output.matchAll(/^skipped: (.+)$/gm)].map(([, name]) => name)
  return { passed: Number(rounds), failed: 0, skipped, output }
}

/** A few seconds each; what a seed found shows again with it. */
async function runFuzzTargets() {
  const { runFuzz } = await import('./fuzz.mjs')
  const log = (line) => console.log(line)
  const fixed = await runFuzz({ seconds: 4, seed: 1, log })
  if (fixed.failed > 0) return fixed
  // Those that were skipped are named once.
  const { passed, failed, output } = await runFuzz({ seconds: 6, seed: 2 + Math.floor(Math.random() * 2 ** 30), log })
  return add(fixed, { passed, failed, skipped: [], output })
}

function runStory() {
  return check('npm start', process.execPath, ['scripts/start.mjs', '--check'], { timeout: 3 * minutes })
}

/** Segments that were there before belong to somebody else. */
function checkLeftovers() {
  const left = listSegments().filter((name) => !segmentsBefore.includes(name))
  return left.length === 0 ? success : failure(`Left in /dev/shm: ${left.join(', ')}`)
}

function listSegments() {
  return existsSync('/dev/shm') ? readdirSync('/dev/shm').filter((name) => name.startsWith('cache-machine.')) : []
}

// How a runner's report becomes an outcome.

function failure(output) {
  return { ...nothing, failed: 1, output }
}

function add(a, b) {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: [...a.skipped, ...b.skipped],
    output: [a.output, b.output].filter(Boolean).join('\n'),
  }
}

/** A program whose exit code is its whole verdict. */
async function check(name, command, args, { timeout = 10 * minutes } = {}) {
  const { code, output } = await capture(command, args, { timeout })
  if (code === 0) return { ...success, output }
  // Not every Rust installation has clippy and rustfmt.
  if (command === 'cargo' && /no such command|is not installed for the toolchain/.test(output)) {
    return { ...nothing, skipped: [`${name}: this Rust toolchain has no ${args[0]}`] }
  }
  return failure(`${output.trimEnd()}\n${name} ended with ${code}`)
}

async function cargoTest(args, env = {}) {
  // With what tests say that have passed: of a test that could not run here that is the reason.
  const command = ['test', '--no-fail-fast', ...args, '--', '--show-output']
  const { code, output } = await capture('cargo', command, {
    env: { CARGO_TERM_COLOR: 'never', ...env },
    timeout: 10 * minutes,
  })
  return cargoOutcome(code, output)
}

/** One `test result:` line for each test binary that came to its end; one that crashed has none. */
function cargoOutcome(code, output) {
  const results = [...output.matchAll(/^test result: \S+ (\d+) passed; (\d+) failed/gm)]
  const started = [...output.matchAll(/^ +(?:Running|Doc-tests) /gm)].length
  const passed = results.reduce((count, [, number]) => count + Number(number), 0)
  const failed = results.reduce((count, [, , number]) => count + Number(number), 0) + started - results.length
  const ignored = [...output.matchAll(/^test (.+) \.\.\. ignored/gm)].map(([, name]) => name)
  // What needs more rights than there are says so and passes.
  const notRun = [...output.matchAll(/^ *not run: (.+)$/gm)].map(([, reason]) => reason)
  const skipped = [...ignored, ...notRun]
  const isBroken = code !== 0 || passed + failed + skipped.length === 0
  return {
    passed: Math.max(passed - notRun.length, 0),
    failed: isBroken ? Math.max(failed, 1) : failed,
    skipped,
    output: `${output}\ncargo ended with ${code}`,
  }
}

// Small things.

function tool(name) {
  return join(root, 'node_modules/.bin', name)
}

function readGenerated() {
  const present = generatedFiles.filter((file) => existsSync(join(root, file)))
  return Object.fromEntries(present.map((file) => [file, readFileSync(join(root, file), 'utf8')]))
}

function indent(text) {
  return stripVTControlCharacters(text).trimEnd().replaceAll(/^/gm, '  | ')
}

function seconds(start) {
  return `${((performance.now() - start) / 1000).toFixed(1)} s`
}

function sum({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`
}

function table(rows) {
  const cells = rows.map(({ title, passed, failed, skipped, time }) => [title, passed, failed, skipped.length, time])
  const line = ([title, ...rest]) => title.padEnd(16) + rest.map((cell) => `${cell}`.padStart(9)).join('')
  return [['Suite', 'passed', 'failed', 'skipped', 'time'], ...cells].map(line).join('\n')
}
