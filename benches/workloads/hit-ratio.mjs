/**
 * Hit ratios on real traces, for a cache with a fixed number of objects in one shard.
 *
 * The traces are not part of the package. Their README has the ratios of other policies, which the reports show beside
 * ours. Runs differ only in the hashes of the keys; runs of lru-cache do not differ. `crates/core/tests/hit_ratio/`
 * measures the same in Rust.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const entrants = ['cache-machine-off', 'lru-cache']

export const title = 'Hit ratios on real traces'

/** @param {import('../suite.mjs').Suite} suite */
export async function measureHitRatio(suite) {
  const { plan, progress } = suite
  const cells = readReference(plan.traces)
  if (cells.length === 0) {
    suite.absent.push({ what: 'hit ratios on real traces', why: 'the folder of --traces has no traces' })
    progress.say(`Hit ratios are skipped: there are no traces in ${plan.traces}.`)
    return
  }

  progress.part(title)
  for (const contender of suite.contenders.filter(({ id }) => entrants.includes(id))) {
    const group = await suite.start('hit-ratio', {})
    if (group === undefined) continue
    for (const { trace, objects } of cells) {
      progress.step(`${trace}, ${objects} objects, ${contender.label}`)
      const file = join(plan.traces, `${trace}.u32.gz`)
      const samples = []
      const rounds = contender.package === 'cache-machine' ? plan.traceRounds : 1
      for (let round = 0; round < rounds; round++) {
        const args = { contender: contender.id, file, objects, name: suite.newName() }
        const percent = await suite.attempt('hit-ratio', group, () => group.first.ask('replay', args))
        if (percent !== undefined) samples.push(percent)
      }
      suite.record({ ...cellOf(trace, objects), contender: contender.id, samples })
    }
    await group.end(suite)
  }
  for (const { trace, objects, policies } of cells) {
    for (const [policy, percent] of Object.entries(policies)) {
      suite.record({ ...cellOf(trace, objects), contender: `reference ${policy}`, samples: [percent] })
    }
  }
}

function cellOf(trace, objects) {
  return { workload: 'hit-ratio', scene: trace, operation: `${objects} objects`, unit: '%', better: 'higher' }
}

/** Reads the table in the README of the traces: a row for each trace and size, a column for each policy. */
function readReference(folder) {
  const file = join(folder, 'README.md')
  if (!existsSync(file)) return []
  const rows = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  const head = rows.findIndex(([first, second]) => first === 'trace' && second === 'size')
  if (head === -1) return []
  const policies = rows[head].slice(2)
  return rows
    .slice(head + 2)
    .map(([trace, objects, ...percents]) => ({
      trace,
      objects: Number(objects),
      policies: Object.fromEntries(policies.map((policy, i) => [policy, Number(percents[i])])),
    }))
    .filter(({ trace }) => existsSync(join(folder, `${trace}.u32.gz`)))
}
