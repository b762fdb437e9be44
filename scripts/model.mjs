/**
 * `npm run model`: searches every state of the models in docs/models, and shows that each broken variant is noticed.
 *
 *   npm run model              everything: some minutes, at most 1.5 GB
 *   npm run model -- --quick   what `npm test` runs: small settings, all broken variants
 *
 * A search counts only if it was complete: a depth or memory that did not suffice is a failure, not a pass. Installs
 * spin by apt-get where it may; where spin or a C compiler is missing all the same, the models are skipped by name, and
 * with `CI` set that is a failure. The last line is the sum.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const folder = fileURLToPath(new URL('../docs/models/', import.meta.url))

/**
 * For each model: the settings in which its promises must hold, and its broken variants, each with the smallest setting
 * that shows it. `quick` settings are part of every run; `endless` asks whether there is any cycle, that is, whether
 * every run comes to its end. A setting is a list of macros; what it does not name is as in the model.
 */
const models = {
  cache: {
    holds: [
      { setting: '', quick: true },
      { setting: 'WRITERS=3 KILLS=2 READERS=1 DELETES', quick: true },
      { setting: 'DELETES' },
      { setting: 'WRITES=2 READS=1' },
      { setting: 'WRITERS=3 KILLS=2' },
      { setting: 'WRITERS=3 KILLS=2 READS=1 DELETES' },
      { setting: 'WRITERS=3 KILLS=3 READERS=1' },
      { setting: 'WRITERS=3 KILLS=3 READS=1' },
      { setting: 'WRITERS=3 KILLS=3' },
    ],
    broken: {
      NO_RECHECK: 'KILLS=0 READERS=1 READS=1',
      NO_GENERATION: 'KILLS=0 READERS=1',
      NO_REBUILD: 'READERS=0',
      EARLY_PUBLISH: 'KILLS=0 READERS=1 READS=1',
      EARLY_ACK: 'READERS=1 READS=1',
      IN_PLACE: 'KILLS=0 READERS=1 READS=1',
      LATE_NEAR: 'KILLS=0 READERS=1',
      ZEROED: 'KILLS=0 READERS=1 DELETES',
    },
  },
  growth: {
    holds: [
      { setting: 'READS=1', quick: true },
      { setting: '' },
      { setting: 'KILLS=2' },
      { setting: 'WRITERS=3 KILLS=2 READS=1' },
      { setting: 'READERS=2 READS=1' },
    ],
    broken: {
      NO_RELOOK: 'KILLS=0',
      EARLY_LEVEL: 'KILLS=0',
      EARLY_EMPTY: 'KILLS=0',
      NO_FINISH: '',
      SAME_GENERATION: 'KILLS=0',
      LATE_COUNT: 'KILLS=0',
      EARLY_UNCOUNT: 'KILLS=0',
      NO_FILTER: 'KILLS=0 READS=1',
      NO_REWALK: 'KILLS=0 READS=1',
    },
  },
  lock: {
    holds: [
      { setting: 'DEATHS=1 PANICS=1 STOPS=1 BUSY=1', quick: true },
      { setting: 'N=2 SIBLING DEATHS=1', quick: true },
      { setting: 'DEATHS=1', quick: true, endless: true },
      { setting: 'DEATHS=2' },
      { setting: 'DEATHS=2', endless: true },
      { setting: 'DEATHS=2 EARLY_TICKS' },
      { setting: 'DEATHS=2 STOPS=1' },
      { setting: 'DEATHS=2 PANICS=1' },
      { setting: 'DEATHS=2 BUSY=1' },
      { setting: 'DEATHS=1 ROUNDS=2' },
      { setting: 'DEATHS=3' },
      { setting: 'N=2 DEATHS=2 ROUNDS=2 PANICS=1 STOPS=1 BUSY=1' },
      { setting: 'N=2 SIBLING DEATHS=2' },
      { setting: 'SIBLING DEATHS=1' },
    ],
    broken: {
      NO_GENERATION: 'N=2 DEATHS=1',
      EARLY_USE: 'N=2 DEATHS=1',
      EARLY_BUMP: 'N=3 DEATHS=1',
      LEASE_ONLY: 'N=2 DEATHS=1',
      NO_REPAIR: 'N=2 DEATHS=1',
      NO_SUSPECT: 'N=2 DEATHS=0 PANICS=1',
      PROBE_OWN: 'N=2 DEATHS=0 SIBLING',
      ROB_STOPPED: 'N=2 DEATHS=0 STOPS=1',
      NO_WAITERS_BIT: 'N=2 DEATHS=0',
      LOST_WAKE: 'N=3 DEATHS=0',
      DROPPED_BIT: 'N=2 DEATHS=1',
      BLIND_SLEEP: 'N=2 DEATHS=0',
      EARLY_WAKE: 'N=2 DEATHS=0',
      EATEN_WAKE: 'N=3 DEATHS=0 ROUNDS=2 BUSY=1',
      UNBOUNDED: 'N=2 DEATHS=1',
    },
  },
  bell: {
    holds: [
      { setting: 'WAITERS=1', quick: true },
      { setting: 'WAITERS=1', quick: true, endless: true },
      { setting: 'WAITERS=1 WAITS=2 WRITES=2', quick: true },
      { setting: '' },
      { setting: 'EARLY_TICKS' },
      { setting: 'WAITS=2' },
    ],
    broken: {
      LATE_BELL: 'WRITERS=1 WAITERS=1 DEATHS=0',
      NO_RECHECK: 'WRITERS=1 WAITERS=1 DEATHS=0',
      LATE_MARK: 'WRITERS=1 WAITERS=1 DEATHS=0',
      EARLY_MARKS: 'WRITERS=1 WAITERS=1 DEATHS=0',
      NO_BUMP: 'WRITERS=1 WAITERS=1 DEATHS=0',
      EARLY_WAKE: 'WRITERS=1 WAITERS=1 DEATHS=0',
      NO_TICK: 'WRITERS=1 WAITERS=1 DEATHS=1',
      NO_CLEAR: 'WRITERS=1 WAITERS=1 DEATHS=1',
      LATE_CLEAR: 'WRITERS=1 WAITERS=1 DEATHS=1',
      WRITER_CLEARS: 'WRITERS=2 WAITERS=1 DEATHS=2',
    },
  },
  watcher: {
    holds: [
      { setting: 'CALLERS=1 WRITERS=1', quick: true },
      { setting: 'CALLERS=1 WRITERS=1', quick: true, endless: true },
      { setting: 'CALLERS=1 WRITERS=2' },
      { setting: 'CALLERS=1 WRITERS=2 WAITS=2 DEATHS=2' },
      { setting: 'CALLERS=2 WRITERS=1' },
    ],
    broken: {
      NO_KICK: 'CALLERS=1 WRITERS=1 DEATHS=0 GIVE_UPS=0',
      OWN_LOOK: 'CALLERS=1 WRITERS=1 DEATHS=1 GIVE_UPS=0',
      KICK_FIRST: 'CALLERS=1 WRITERS=1 DEATHS=0 GIVE_UPS=0',
      LATE_BELL: 'CALLERS=1 WRITERS=1 DEATHS=0 GIVE_UPS=0',
      EARLY_RUNG: 'CALLERS=1 WRITERS=1 DEATHS=0 GIVE_UPS=0',
      LATE_RUNG: 'CALLERS=1 WRITERS=1 DEATHS=0 GIVE_UPS=0',
      NO_QUIET: 'CALLERS=1 WRITERS=1 DEATHS=1 GIVE_UPS=0',
      EARLY_QUIET: 'CALLERS=1 WRITERS=1 DEATHS=1 GIVE_UPS=0',
      LATE_COUNT: 'CALLERS=1 WRITERS=1 DEATHS=1 GIVE_UPS=0',
      UNMARK_ALL: 'CALLERS=1 WRITERS=1 DEATHS=0 GIVE_UPS=0',
      LATE_UNMARK: 'CALLERS=2 WRITERS=1 DEATHS=0 GIVE_UPS=0',
    },
  },
  destroy: {
    holds: [
      { setting: '', quick: true },
      { setting: 'PROCESSES=2', quick: true, endless: true },
      { setting: 'EARLY_RELEASE FIRST_LOOK' },
      { setting: 'DESTROYS=3' },
      { setting: 'OPERATIONS=2' },
    ],
    broken: {
      NO_GATE: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      EARLY_RELEASE: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      ONE_DESCRIPTION: 'PROCESSES=3 DESTROYS=1 DEATHS=0 BUSY=0',
      NO_CHECK: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      NO_FINISH: 'PROCESSES=2 DESTROYS=2 DEATHS=1 BUSY=0',
      HALF_FINISH: 'PROCESSES=3 DESTROYS=2 DEATHS=1 BUSY=0',
      BLIND_UNLINK: 'PROCESSES=2 DESTROYS=2 DEATHS=0 BUSY=0',
      NO_PASS: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      LATE_STATE: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      EARLY_UNLINK: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      NO_EPOCH: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      EARLY_EPOCH: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
      EARLY_LOOK: 'PROCESSES=2 DESTROYS=1 DEATHS=0 BUSY=0',
    },
  },
  turns: {
    holds: [
      { setting: 'N=2 DEATHS=2 EXPIRIES=1 GIVE_UPS=1', quick: true },
      { setting: 'DEATHS=1', quick: true },
      { setting: '' },
      { setting: 'DEATHS=1 EXPIRIES=1 GIVE_UPS=1' },
      { setting: 'N=2 ROUNDS=2 EXPIRIES=2 GIVE_UPS=1' },
    ],
    broken: {
      BY_SLOT: 'DEATHS=1',
      OWN_COUNTER: 'N=2 DEATHS=0',
      ANY_RELEASE: 'DEATHS=0 EXPIRIES=1',
      OVERTAKE: 'DEATHS=1',
      FREE: 'N=2 DEATHS=0',
      NO_PROBE: 'N=2 DEATHS=1',
      HALF_PROBE: 'DEATHS=2',
      NO_FENCE: 'N=2 DEATHS=0 EXPIRIES=1',
    },
  },
  tags: {
    holds: [
      { setting: 'READERS=1 SETTERS=1', quick: true },
      { setting: 'READERS=1' },
      { setting: 'SETTERS=1' },
      { setting: 'READERS=1 SETTERS=1 INVALIDATORS=3 DEATHS=2' },
      { setting: 'READERS=1 SETTERS=1 INVALIDATORS=3 DEATHS=3' },
    ],
    broken: {
      ODD_NEAR: 'READERS=1 SETTERS=1 INVALIDATORS=1 DEATHS=1',
      NO_SECOND: 'READERS=1 SETTERS=1 INVALIDATORS=1 DEATHS=0',
      LATE_ADVANCE: 'READERS=1 SETTERS=1 INVALIDATORS=1 DEATHS=0',
      LATE_CLOCK: 'READERS=1 SETTERS=1 INVALIDATORS=1 DEATHS=0',
      LATE_STAMP: 'READERS=1 SETTERS=1 INVALIDATORS=1 DEATHS=0',
      LOW_RECORD: 'READERS=1 SETTERS=1 INVALIDATORS=1 DEATHS=0',
      NO_RESUME: 'READERS=1 SETTERS=1 INVALIDATORS=2 DEATHS=1',
    },
  },
  flights: {
    holds: [
      { setting: 'N=2', quick: true },
      { setting: 'N=2 EVENTS=0 EXPIRIES=1 FAILURES=1', quick: true, endless: true },
      { setting: 'N=2 EVENTS=2 EVICTIONS=1' },
      { setting: 'N=2 EXPIRIES=1 FAILURES=1 STUCK=1 REFRESHES=1' },
      { setting: '' },
      { setting: 'DEATHS=3 EVENTS=0' },
      { setting: 'DEATHS=2' },
    ],
    broken: {
      NO_FENCE: 'N=2 DEATHS=0 EXPIRIES=1',
      NO_LIFE: 'N=2 DEATHS=0',
      LATE_LIFE: 'N=2 DEATHS=0',
      SET_KEEPS: 'N=2 DEATHS=0 EVICTIONS=1',
      TAKE_KEEPS: 'N=2 DEATHS=0 REFRESHES=1',
      DELETE_KEEPS: 'N=2 DEATHS=0',
      LATE_OUTDATE: 'N=2 DEATHS=0',
      NO_LOOK: 'N=2 DEATHS=0 EVENTS=0',
      NO_PROBE: 'N=2 EVENTS=0',
      BY_SLOT: 'N=2 EVENTS=0',
      NO_LEASE: 'N=2 DEATHS=0 EVENTS=0 STUCK=1',
      BEGIN_FORGETS: 'DEATHS=0 EVENTS=0 FAILURES=1',
    },
  },
  epochs: {
    holds: [
      { setting: 'WRITERS=1 READS=1', quick: true },
      { setting: 'WRITERS=1' },
      { setting: 'WRITERS=1 CLEARERS=2 READS=1' },
      { setting: 'READS=1' },
      { setting: 'READS=1 DEATHS=3' },
    ],
    broken: {
      OWN_ONLY: 'WRITERS=1 DEATHS=0 SWEEPERS=0 KEYS=1',
      LATE_NEAR: 'WRITERS=1 DEATHS=0 SWEEPERS=0 KEYS=1',
      NO_LIFE: 'WRITERS=1 DEATHS=0 SWEEPERS=0 KEYS=1',
      EARLY_LIFE: 'DEATHS=0',
      TWO_LIVES: 'WRITERS=1 DEATHS=0 SWEEPERS=0 KEYS=1',
      EARLY_SWEEP: 'WRITERS=1 DEATHS=0',
      LIFE_FIRST: 'WRITERS=1 DEATHS=0',
      NO_PURGE: 'WRITERS=1 WRITES=2 DEATHS=0 SWEEPERS=0',
      NO_REBUILD: 'WRITERS=1',
    },
  },
  names: {
    holds: [{ setting: '', quick: true }, { setting: 'TIMES=2 DEATHS=3' }],
    broken: {
      FIRST_FIRST: 'TIMES=2',
      NO_LOOK: 'DEATHS=0',
      BY_COUNT: 'DEATHS=1',
      HALF_NAME: 'DEATHS=0',
      BLIND_COUNT: 'DEATHS=0',
    },
  },
  eviction: {
    holds: [
      { setting: 'WRITERS=1', quick: true },
      { setting: 'READERS=0', quick: true },
      { setting: '' },
      { setting: 'UNITS=3' },
      { setting: 'WRITERS=1 WRITES=2 SWEEPERS=1' },
      { setting: 'WRITERS=3 DEATHS=3 READERS=0' },
    ],
    broken: {
      NO_SPARE: 'WRITERS=1 DEATHS=0',
      EARLY_REUSE: 'WRITERS=1 DEATHS=0',
      LATE_COUNT: 'WRITERS=1 DEATHS=0',
      EARLY_UNCOUNT: 'WRITERS=1 DEATHS=0',
      ZERO_FIRST: '',
      NO_RECOUNT: 'READERS=0',
      NO_REBUILD: 'READERS=0',
      NO_RECHECK: 'WRITERS=1 DEATHS=0',
      NO_GENERATION: 'WRITERS=1 DEATHS=0',
      ZEROED: 'WRITERS=1 WRITES=2 DEATHS=0',
      BLIND_SWEEP: 'WRITERS=1 WRITES=2 SWEEPERS=1 DEATHS=0 READERS=0',
      NO_DEADLINE: 'WRITERS=1 DEATHS=0 SWEEPERS=1 READS=2',
    },
  },
  rings: {
    holds: [
      { setting: 'WRITES=1', quick: true },
      { setting: 'WRITERS=1 WRITES=4', quick: true },
      { setting: '' },
      { setting: 'WRITES=1 READERS=2' },
      { setting: 'WRITERS=3 WRITES=1 DEATHS=3' },
    ],
    broken: {
      NO_RESERVED: 'WRITERS=1 WRITES=4 DEATHS=0',
      LATE_RESERVED: 'WRITERS=1 WRITES=4 DEATHS=0',
      EARLY_STATE: 'WRITERS=1 DEATHS=0',
      SPLIT_STATE: 'WRITERS=1 DEATHS=0',
      NO_RESET: 'WRITES=1',
      NO_FLOOR: 'WRITERS=1',
      LATE_FLOOR: '',
      NO_COUNT: 'WRITERS=1',
      NO_REBUILD: 'WRITERS=1',
      NO_TICK: 'WRITERS=1',
    },
  },
}

/** What pan prints when it has not seen everything. */
const incomplete = /max search depth too small|reached -DMEMLIM|out of memory|hashtable full|not completed/i
const depth = 100_000
const megabytes = 1500
const minutes = 60_000

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main()

async function main() {
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } })
  const { passed, failed, skipped } = await runModels({ quick: values.quick, log: console.log })
  const inCi = ![undefined, '', '0', 'false'].includes(process.env.CI)
  if (inCi && skipped.length > 0) console.log('CI is set, so a skipped model is a failure.')
  console.log(`${passed} passed, ${failed} failed`)
  process.exitCode = failed > 0 || (inCi && skipped.length > 0) ? 1 : 0
}

/**
 * @param {{ quick?: boolean, log?: (line: string) => void }} [options]
 * @returns {Promise<{ passed: number, failed: number, skipped: string[], output: string }>} `skipped`: the models, by
 *   name and reason. `output`: what was logged.
 */
export async function runModels({ quick = false, log = () => {} } = {}) {
  const lines = []
  const say = (line) => {
    lines.push(line)
    log(line)
  }
  const missing = await installTools()
  if (missing.length > 0) {
    const skipped = Object.keys(models).map((model) => `${model}.pml: there is no ${missing.join(' and no ')}`)
    for (const name of skipped) say(`skipped ${name}`)
    return { passed: 0, failed: 0, skipped, output: lines.join('\n') }
  }

  const problems = Object.keys(models).flatMap(findTableProblems)
  for (const problem of problems) say(`FAILED ${problem}`)
  const outcomes = await runSearches(selectSearches(quick), say)
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

/** A macro that the model does not know changes nothing: the search would be of something else than its name says. */
function findTableProblems(model) {
  const text = readFileSync(join(folder, `${model}.pml`), 'utf8')
  const { holds, broken } = models[model]
  const known = new Set([...text.matchAll(/^#(?:ifdef|ifndef) (\w+)|defined\((\w+)\)/gm)].map(([, a, b]) => a ?? b))
  const documented = [...text.matchAll(/^ \* {3}([A-Z_]+) {2,}/gm)].map(([, name]) => name)

  const settings = [...holds.map(({ setting }) => setting), ...Object.values(broken)]
  const used = [...settings.flatMap(macrosOf).map((macro) => macro.split('=')[0]), ...Object.keys(broken)]
  const unknown = [...new Set(used)].filter((name) => !known.has(name))
  const untested = documented.filter((name) => !(name in broken))
  return [
    ...unknown.map((name) => `${model}: the model has no ${name}`),
    ...untested.map((name) => `${model}: the broken variant ${name} is not run`),
  ]
}

function selectSearches(quick) {
  return Object.entries(models).flatMap(([model, { holds, broken }]) => [
    ...holds.filter((search) => search.quick || !quick).map((search) => ({ model, ...search })),
    ...Object.entries(broken).map(([variant, setting]) => ({ model, variant, setting, quick: true })),
  ])
}

/** Small ones side by side; each large one alone, for its memory. Resolves to one verdict each. */
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

/** Runs one search and says how it went: true if that is as it must be. */
async function judge(search, place, say) {
  const { model, variant, setting, endless } = search
  const start = performance.now()
  const { code, output } = await runSearch(search, place)
  const time = `${((performance.now() - start) / 1000).toFixed(1)} s`

  const errors = Number(/errors: (\d+)/.exec(output)?.[1] ?? Number.NaN)
  const states = /(\d+) states, stored/.exec(output)?.[1] ?? 'no'
  const error = /^pan:1: (.+?)(?: \(at depth \d+\))?$/m.exec(output)?.[1]
  const isGood = variant ? errors > 0 && error !== undefined : code === 0 && errors === 0 && !incomplete.test(output)

  const title = [model, variant ?? 'holds', setting, endless && '(no cycle)'].filter(Boolean).join(' ')
  const finding = variant ? `, ${error?.slice(0, 60) ?? 'nothing found'}` : ''
  say(`${isGood ? 'ok    ' : 'FAILED'} ${title}: ${states} states, ${time}${finding}`)
  if (!isGood) say(output.split('\n').slice(-30).join('\n'))
  return isGood
}

/** spin writes a search program in C, gcc compiles it; a small search is over sooner than an optimising compiler. */
async function runSearch({ model, variant, setting, endless, quick }, place) {
  const cwd = mkdtempSync(join(place, `${model}-`))
  copyFileSync(join(folder, `${model}.pml`), join(cwd, 'model.pml'))
  const macros = [...macrosOf(setting), ...(variant ? [variant] : [])].map((macro) => `-D${macro}`)
  const mode = [endless ? '-DNP' : '-DSAFETY', '-DCOLLAPSE', `-DMEMLIM=${megabytes}`, quick ? '-O0' : '-O2']
  const options = [`-m${depth}`, quick ? '-w20' : '-w24', ...(endless ? ['-l'] : [])]

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

/** `code`: the exit code, `ENOENT`, or the name of the signal that ended it, as after a timeout. */
function execute(command, args, { cwd, timeout } = {}) {
  return new Promise((resolve) => {
    execFile(command, args, { cwd, timeout, maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      resolve({ code: error ? (error.code ?? error.signal) : 0, output: `${stdout}${stderr}` })
    })
  })
}
