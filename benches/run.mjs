/**
 * `npm run bench`: measures cache-machine and its alternatives with one command.
 *
 *   npm run bench                         all workloads: about 10 minutes on an idle machine
 *   npm run bench -- --quick              the figures of the claims, in under 2 minutes; too short to judge a claim
 *   npm run bench -- --only wake-up,memory    these workloads only; `throughput` is `string-1k` to `buffer-1m`
 *   npm run bench -- --only bounds        the longest single call of each kind, in segments of up to 8 GiB
 *   npm run bench -- --only apps          a real application under cluster, with a database behind each cache
 *   npm run bench -- --only adapters      what each adapter adds to the calls of the cache
 *   npm run bench -- --only collections   collections and transactions beside Redis and beside whole values
 *   npm run bench -- --only apps --rounds 1   fewer rounds than usual: each figure is the median of its rounds
 *   npm run bench -- --contenders lmdb,cache-machine-off    these contenders only
 *   npm run bench -- --readme             all workloads; also updates the tables in README.md and docs/performance.md
 *   npm run bench -- --json file --html file  the files of the results; default: benches/results/latest.*
 *   npm run bench -- --traces folder      the traces for the hit ratios; default: ../shared/traces
 *   npm run bench -- --as-is              installs and builds nothing
 *
 * benches/README.md describes the method and the settings. The exit code is 1 when a measurement failed, and 2 when the
 * run itself failed. A claim that is not reached is a result, not a failure.
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
import { readmeResults, updateDocuments } from './readme.mjs'
import { htmlReport } from './report-html.mjs'
import { terminalReport } from './report-terminal.mjs'
import { programs } from './servers/index.mjs'
import { Suite } from './suite.mjs'
import { selectWorkloads } from './workloads/index.mjs'

const MIB = 2 ** 20

const plans = {
  full: {
    rounds: 5,
    window: 100,
    warmUp: 100,
    messages: 150,
    memoryRounds: 5,
    memoryKeys: 100_000,
    fillBytes: 64 * MIB,
    traceRounds: 5,
    catalogueMinutes: 5,
    boundsSizes: [2 * MIB, 16 * MIB, 64 * MIB, 256 * MIB, 1024 * MIB, 8192 * MIB],
    boundsMs: 150,
    boundsFillMs: 20_000,
    boundsWriters: 16,
    appRounds: 3,
    appMs: 2_000,
    appFrameworks: ['express', 'fastify'],
    appWorkers: [2, 4],
    appItems: [1, 10, 50],
  },
  quick: {
    rounds: 5,
    window: 25,
    warmUp: 50,
    messages: 50,
    memoryRounds: 1,
    memoryKeys: 100_000,
    fillBytes: 16 * MIB,
    traceRounds: 1,
    catalogueMinutes: 1,
    boundsSizes: [2 * MIB, 64 * MIB],
    boundsMs: 20,
    boundsFillMs: 10_000,
    boundsWriters: 4,
    appRounds: 1,
    appMs: 1_000,
    appFrameworks: ['express'],
    appWorkers: [2],
    appItems: [50],
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
      rounds: { type: 'string' },
      json: { type: 'string', default: `${here}results/latest.json` },
      html: { type: 'string', default: `${here}results/latest.html` },
      traces: { type: 'string', default: resolve(here, '../../shared/traces') },
      'as-is': { type: 'boolean', default: false },
    },
  })
  const only = values.contenders?.split(',').map((id) => contenderOf(id.trim()).id)
  if (
    values.readme &&
    (values.quick || values.only !== undefined || values.rounds !== undefined || only !== undefined)
  ) {
    throw new Error('--readme needs a whole run: use it without --quick, --only, --rounds and --contenders')
  }
  return { ...values, contenders: only, workloads: selectWorkloads(values.only, values) }
}

/** The parts of a plan that `--rounds` replaces. */
function roundsOf(text) {
  if (text === undefined) return {}
  const rounds = Number(text)
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds takes a whole number of at least 1')
  return { rounds, appRounds: rounds, memoryRounds: rounds, traceRounds: rounds }
}

async function main(options) {
  if (process.platform !== 'linux') throw new Error('The suite runs on Linux only, like cache-machine.')
  if (!options['as-is']) {
    await ensureDependencies({ log })
    await ensureBuild({ log })
    await ensureContenders({ log })
    await ensureServers({ log })
  }
  await removeLeftovers()

  const busyBefore = await measureBusyness()
  const plan = {
    ...plans[options.quick ? 'quick' : 'full'],
    ...roundsOf(options.rounds),
    quick: options.quick,
    traces: options.traces,
  }
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
    await updateDocuments()
  }
  console.log(`${options.json}\n${options.html}\n${results.seconds} s`)
  return suite.problems.length === 0 ? 0 : 1
}

function resultsOf(suite, { seconds, busyBefore }) {
  const { figures, absent, problems, plan } = suite
  // A report must not contain paths of this machine.
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

/** One line for each figure, so that diffs are readable. */
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

/** Ends an interrupted run and removes everything that it created. */
async function abandon(suite, signal) {
  for (const name of signals) process.removeAllListeners(name).on(name, () => undefined)
  log(`\n${signal}: stopping.`)
  await suite.abandon()
  await removeLeftovers((pid) => pid === process.pid)
  process.exit(130)
}
