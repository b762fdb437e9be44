/**
 * `npm run model`: searches every state of the models in docs/models, and shows that each broken variant is noticed.
 *
 *   npm run model              all settings: some minutes, at most 1.5 GB
 *   npm run model -- --quick   as `npm test` runs it: small settings, all broken variants
 *   npm run model -- --only quotas,tags   these models
 *
 * A search passes only if it was complete: running out of depth or memory is a failure. As root on Linux, a missing
 * spin or gcc is installed by apt-get. If one is still missing, the models are skipped by name; with `CI` set, that
 * is a failure. The last line is the sum.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { inCi, isMain, root } from '../setup.mjs'
import { models } from './model-settings.mjs'

const folder = join(root, 'docs/models')

/** The search program prints one of these when its search was not complete. */
const incomplete = /max search depth too small|reached -DMEMLIM|out of memory|hashtable full|not completed/i
const depth = 100_000
const megabytes = 1500
const minutes = 60_000

if (isMain(import.meta.url)) await main()

async function main() {
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } } })
  const only = values.only?.split(',')
  const { passed, failed, skipped } = await runModels({ quick: values.quick, only, log: console.log })
  if (inCi && skipped.length > 0) console.log('CI is set, so a skipped model is a failure.')
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed > 0 || (inCi && skipped.length > 0) ? 1 : 0
}

/**
 * @param {{ quick?: boolean, only?: string[], log?: (line: string) => void }} [options]
 * @returns {Promise<{ passed: number, failed: number, skipped: string[], output: string }>} `skipped`: the models,
 *   each with the reason. `output`: the logged lines.
 */
export async function runModels({ quick = false, only = Object.keys(models), log = () => {} } = {}) {
  const lines = []
  const say = (line) => {
    lines.push(line)
    log(line)
  }
  const missing = await installTools()
  if (missing.length > 0) {
    const skipped = only.map((model) => `${model}.pml: there is no ${missing.join(' and no ')}`)
    for (const name of skipped) say(`skipped ${name}`)
    return { passed: 0, failed: 0, skipped, output: lines.join('\n') }
  }

  const problems = only.flatMap(findTableProblems)
  for (const problem of problems) say(`FAILED ${problem}`)
  const outcomes = await runSearches(selectSearches(only, quick), say)
  const passed = outcomes.filter((isGood) => isGood).length
  const failed = outcomes.length - passed + problems.length
  return { passed, failed, skipped: [], output: lines.join('\n') }
}

/** Programs that are missing, after an attempt to install them. */
async function installTools() {
  const missing = await findMissing()
  const mayInstall = process.platform === 'linux' && process.getuid() === 0
  if (missing.length === 0 || !mayInstall) return missing
  await execute('apt-get', ['update'], { timeout: 3 * minutes })
  await execute('apt-get', ['install', '-y', '--no-install-recommends', ...missing], { timeout: 5 * minutes })
  return findMissing()
}

async function findMissing() {
  const answers = await Promise.all(['spin', 'gcc'].map(async (tool) => [tool, await execute(tool, ['--version'])]))
  return answers.filter(([, { code }]) => code === 'ENOENT').map(([tool]) => tool)
}

/** A setting must not name a macro that the model does not know, and each documented broken variant must be run. */
function findTableProblems(model) {
  const text = readFileSync(join(folder, `${model}.pml`), 'utf8')
  const { ends = {}, broken, ...holds } = models[model]
  const known = new Set([...text.matchAll(/^#(?:ifdef|ifndef) (\w+)|defined\((\w+)\)/gm)].map(([, a, b]) => a ?? b))
  const documented = [...text.matchAll(/^ \* {3}([A-Z_]+) {2,}/gm)].map(([, name]) => name)

  const searches = [...settingsOf(holds, false), ...settingsOf(ends, false)]
  const settings = [...searches.map(({ setting }) => setting), ...Object.values(broken)]
  const used = [...settings.flatMap(macrosOf).map((macro) => macro.split('=')[0]), ...Object.keys(broken)]
  const unknown = [...new Set(used)].filter((name) => !known.has(name))
  const untested = documented.filter((name) => !(name in broken))
  return [
    ...unknown.map((name) => `${model}: the model has no ${name}`),
    ...untested.map((name) => `${model}: the broken variant ${name} is not run`),
  ]
}

function selectSearches(only, isQuick) {
  return only.flatMap((model) => {
    const { ends = {}, broken, ...holds } = models[model]
    return [
      ...settingsOf(holds, isQuick).map((search) => ({ model, ...search })),
      ...settingsOf(ends, isQuick).map((search) => ({ model, ...search, mustEnd: true })),
      ...Object.entries(broken).map(([variant, setting]) => ({ model, variant, setting, quick: true })),
    ]
  })
}

function settingsOf({ quick = [], full = [] }, isQuick) {
  return [
    ...quick.map((setting) => ({ setting, quick: true })),
    ...(isQuick ? [] : full.map((setting) => ({ setting, quick: false }))),
  ]
}

/** Small searches run side by side; each large one runs alone, because of its memory. Resolves to one verdict each. */
async function runSearches(searches, say) {
  const place = mkdtempSync(join(tmpdir(), 'cache-machine-models-'))
  try {
    const small = searches.filter((search) => search.quick)
    const large = searches.filter((search) => !search.quick)
    const verdicts = await inParallel(small, Math.min(2, availableParallelism()), (search) => judge(search, place, say))
    return [...verdicts, ...(await inParallel(large, 1, (search) => judge(search, place, say)))]
  } finally {
    rmSync(place, { recursive: true, force: true })
  }
}

async function inParallel(items, width, work) {
  const results = []
  const rest = items.values()
  const worker = async () => {
    for (const item of rest) results.push(await work(item))
  }
  await Promise.all(Array.from({ length: width }, worker))
  return results
}

/** Runs one search and logs its result. Resolves to whether the result is the right one. */
async function judge(search, place, say) {
  const { model, variant, setting, mustEnd } = search
  const start = performance.now()
  const { code, output } = await runSearch(search, place)
  const time = `${((performance.now() - start) / 1000).toFixed(1)} s`

  const errors = Number(/errors: (\d+)/.exec(output)?.[1] ?? Number.NaN)
  const states = /(\d+) states, stored/.exec(output)?.[1] ?? 'no'
  const error = /^pan:1: (.+?)(?: \(at depth \d+\))?$/m.exec(output)?.[1]
  const isGood = variant ? errors > 0 && error !== undefined : code === 0 && errors === 0 && !incomplete.test(output)

  const title = [model, variant ?? 'holds', setting, mustEnd && '(no cycle)'].filter(Boolean).join(' ')
  const finding = variant ? `, ${error?.slice(0, 60) ?? 'nothing found'}` : ''
  say(`${isGood ? 'ok    ' : 'FAILED'} ${title}: ${states} states, ${time}${finding}`)
  if (!isGood) say(output.split('\n').slice(-30).join('\n'))
  return isGood
}

/**
 * spin writes a search program in C, gcc compiles it. Small searches are compiled without optimisation, which takes
 * longer than the search itself.
 */
async function runSearch({ model, variant, setting, mustEnd, quick }, place) {
  const cwd = mkdtempSync(join(place, `${model}-`))
  copyFileSync(join(folder, `${model}.pml`), join(cwd, 'model.pml'))
  const macros = [...macrosOf(setting), ...(variant ? [variant] : [])].map((macro) => `-D${macro}`)
  const mode = [mustEnd ? '-DNP' : '-DSAFETY', '-DCOLLAPSE', `-DMEMLIM=${megabytes}`, quick ? '-O0' : '-O2']
  const options = [`-m${depth}`, quick ? '-w20' : '-w24', ...(mustEnd ? ['-l'] : [])]

  const made = await execute('spin', [...macros, '-a', 'model.pml'], { cwd, timeout: minutes })
  if (made.code !== 0) return made
  const compiled = await execute('gcc', ['-w', ...mode, '-o', 'pan', 'pan.c'], { cwd, timeout: 2 * minutes })
  if (compiled.code !== 0) return compiled
  const searched = await execute(join(cwd, 'pan'), options, { cwd, timeout: 5 * minutes })
  rmSync(cwd, { recursive: true })
  return searched
}

function macrosOf(setting) {
  return setting.split(' ').filter(Boolean)
}

/** `code`: the exit code, `ENOENT`, or the name of the signal that ended the program, as after a timeout. */
function execute(command, args, { cwd, timeout } = {}) {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, timeout, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, output: `${stdout}${stderr}` })
    })
  })
}
