import { writeFileSync } from 'node:fs'

// Set by scripts/verify/specs.mjs, which needs the counts of each file and the names of skipped tests. AVA's printed
// summary has neither.
const reportFile = process.env.CACHE_MACHINE_AVA_REPORT

// A spec in a folder `node22` has a host that asks for Node.js 22. See `specFiles` of scripts/verify/specs.mjs.
const major = Number.parseInt(process.versions.node, 10)
const newer = [22, 24, 26].filter((version) => version > major).map((version) => `!__test__/**/node${version}/**`)

export default {
  files: ['__test__/**/*.spec.ts', 'benches/test/*.spec.mjs', ...newer],
  extensions: { ts: 'module', mjs: true },
  nodeArguments: ['--import', new URL('__test__/helpers/typescript.mjs', import.meta.url).href],
  // Each spec runs in a process of its own, since the process is the unit under test.
  workerThreads: false,
  concurrency: 2,
  timeout: '60s',
  ...(reportFile !== undefined && { nonSemVerExperiments: { observeRunsFromConfig: true }, observeRun }),
}

async function observeRun({ events }) {
  const report = { stats: undefined, files: {}, skipped: [] }
  process.once('exit', () => writeFileSync(reportFile, JSON.stringify(report)))
  for await (const event of events) {
    if (event.type === 'stats') {
      report.stats = event.stats
      report.files = Object.fromEntries(event.stats.byFile)
    }
    if (event.type === 'selected-test' && (event.skip || event.todo)) report.skipped.push(event.title)
  }
}
