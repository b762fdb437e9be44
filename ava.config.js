import { writeFileSync } from 'node:fs'

// Set by scripts/test.mjs, which needs counts by file and the names of what was skipped: the printed summary has neither.
const reportFile = process.env.CACHE_MACHINE_AVA_REPORT

export default {
  files: ['__test__/**/*.spec.ts', 'benches/test/*.spec.mjs'],
  extensions: { ts: 'module', mjs: true },
  nodeArguments: ['--import', '@oxc-node/core/register'],
  // Processes, not threads: the process is the unit under test.
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
