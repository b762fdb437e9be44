/**
 * `npm run bench`: cache-machine against what one would use instead, with one command.
 *
 *   npm run bench                         everything: about 10 minutes on an idle machine
 *   npm run bench -- --quick              what the claims speak of, in under 2 minutes; too short to claim from
 *   npm run bench -- --only wake-up,memory    these workloads only; `throughput` is all of the tables of single processes
 *   npm run bench -- --contenders lmdb,cache-machine-off    these contenders only
 *   npm run bench -- --readme             everything, and writes the table of README.md from it
 *   npm run bench -- --json file --html file  where the results go; default: benches/results/latest.*
 *   npm run bench -- --traces folder      for the hit ratios; default: ../shared/traces
 *   npm run bench -- --as-is              installs and builds nothing
 *
 * How it measures, and what the settings are: benches/README.md. The exit code is 1 when something could not be measured that
 * should have been; a claim that is not reached is a result, and no failure.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies } from '../scripts/setup.mjs'
import { judge } from './claims.mjs'
import { contenderOf, contenders } from './contenders/index.mjs'
import { ensureContenders, ensureServers, findAbsent } from './install.mjs'
import { removeLeftovers } from './leftovers.mjs'
import { describeMachine, describeVersions, measureBusyness } from './machine.mjs'
import { readmeResults, updateReadme } from './readme.mjs'
import { htmlReport } from './report-html.mjs'
import { terminalReport } from './report-terminal.mjs'
import { programs } from './servers/index.mjs'
import { Suite } from './suite.mjs'
import { selectWorkloads } from './workloads/index.mjs'

const plans = {
  full: {
    rounds: 5,
    window: 100,
    warmUp: 100,
    rings: 150,
    memoryRounds: 5,
    memoryKeys: 100_000,
    fillBytes: 64 * 2 ** 20,
    traceRounds: 5,
  },
  quick: {
    rounds: 5,
    window: 25,
    warmUp: 50,
    rings: 50,
    memoryRounds: 1,
    memoryKeys: 100_000,
    fillBytes: 16 * 2 ** 20,
    traceRounds: 1,
  },
}

const here = fileURLToPath(new URL('.', import.meta.url))
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
const log = console.error

try {
  process.exitCode = await main(readOptions())
} catch (error) {
  log(error.message)
  process.exitCode = 2
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      readme: { type: 'boolean', default: false },
      only: { type: 'string' },
      contenders: { type: 'string' },
      json: { type: 'string', default: `${here}results/latest.json` },
      html: { type: 'string', default: `${here}results/latest.html` },
      traces: { type: 'string', default: resolve(here, '../../shared/traces') },
      'as-is': { type: 'boolean', default: false },
    },
  })
  const only = values.contenders?.split(',').map((id) => contenderOf(id.trim()).id)
  if (values.readme && (values.quick || values.only !== undefined || only !== undefined)) {
    throw new Error('--readme is for a whole run: without --quick, --only and --contenders')
  }
  return { ...values, contenders: only, workloads: selectWorkloads(values.only, values) }
}

async function main(options) {
  if (process.platform !== 'linux') throw new Error('The suite runs on Linux only, as cache-machine does.')
  if (!options['as-is']) {
    await ensureDependencies({ log })
    await ensureBuild({ log })
    await ensureContenders({ log })
    await ensureServers({ log })
  }
  await removeLeftovers()

  const busyBefore = await measureBusyness()
  const plan = { ...plans[options.quick ? 'quick' : 'full'], quick: options.quick, traces: options.traces }
  const suite = await Suite.create({ plan, absent: findAbsent(), only: options.contenders, log })
  const onSignal = (signal) => abandon(suite, signal)
  for (const signal of signals) process.on(signal, onSignal)
  const start = performance.now()
  try {
    for (const workload of options.workloads) await workload.measure(suite)
  } finally {
    await suite.dispose()
    for (const signal of signals) process.off(signal, onSignal)
  }

  const seconds = Math.round((performance.now() - start) / 1000)
  const results = resultsOf(suite, { seconds, busyBefore })
  write(options.json, jsonOf(results))
  write(options.html, htmlReport(results))
  console.log(terminalReport(results))
  if (options.readme) {
    write(readmeResults, jsonOf(results))
    await updateReadme()
  }
  console.log(`${options.json}\n${options.html}\n${results.seconds} s`)
  return suite.problems.length === 0 ? 0 : 1
}

function resultsOf(suite, { seconds, busyBefore }) {
  const { figures, absent, problems, plan } = suite
  // Where the traces are is nobody's business.
  const { traces: _traces, ...settingsOfPlan } = plan
  const ids = new Set(figures.map(({ contender }) => contender))
  const measured = contenders.filter(({ id }) => ids.has(id))
  const servers = Object.entries(programs).filter(([name]) => measured.some(({ server }) => server === name))
  const results = {
    version: 1,
    date: new Date().toISOString(),
    seconds,
    quick: plan.quick,
    machine: { ...describeMachine(), busyBefore: Number(busyBefore.toFixed(3)) },
    versions: describeVersions(),
    plan: settingsOfPlan,
    settings: [
      ...measured.map(({ label, settings }) => ({ label, settings })),
      ...servers.map(([, { command, settings }]) => ({ label: command, settings })),
    ],
    absent,
    problems,
    figures,
  }
  return { ...results, claims: judge(results) }
}

/** A line for each figure: so a change is a readable one. */
function jsonOf({ figures, ...results }) {
  const lines = figures.map((figure) => JSON.stringify(figure))
  return JSON.stringify({ ...results, figures: [] }, null, 1).replace(
    '"figures": []',
    () => `"figures": [\n  ${lines.join(',\n  ')}\n ]`,
  )
}

function write(file, text) {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
}

/** Nothing of this run may stay, also when it is interrupted. */
async function abandon(suite, signal) {
  for (const name of signals) process.removeAllListeners(name).on(name, () => undefined)
  log(`\n${signal}: stopping.`)
  await suite.abandon()
  await removeLeftovers((pid) => pid === process.pid)
  process.exit(130)
}
