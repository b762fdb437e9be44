/**
 * `npm run torture`: several processes and threads run random operations of the whole API. Meanwhile processes are
 * killed and suspended (SIGSTOP), threads are terminated, and caches are cleared and destroyed under the others.
 * Nothing that was acknowledged may be lost or torn, and no call may hang.
 *
 *   npm run torture                          a minute
 *   npm run torture -- --minutes 60          an hour
 *   npm run torture -- --seed 7 --rounds 1   the round of one seed
 *   npm run torture -- --soak --minutes 60   one long round with a kill each second; memory and space must stay flat
 *   npm run torture -- --plan JSON           with these parts of the plan, the rest from the seed
 *
 * The plan of a round follows from its seed: see torture/plan.mjs. After a failure, the torture looks for a smaller
 * plan that fails too. It prints the seed, the failure, and the smallest failing plan with the last operations that
 * concern it.
 *
 * Caution: the seed decides which operations each process tries, but not their order across processes and not the
 * step at which a kill hits. The same seed may pass the next time, so run it several times.
 */
import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies } from '../setup.mjs'

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    rounds: { type: 'string', default: 'Infinity' },
    seed: { type: 'string' },
    plan: { type: 'string', default: '{}' },
    soak: { type: 'boolean', default: false },
    inside: { type: 'boolean', default: false },
  },
})

await ensureDependencies()
await ensureBuild()
const canMount = process.geteuid?.() === 0 && works('unshare', '-m', 'mount', '--version')

if (canMount && !options.inside) await goInside()
else await torture()

/** Runs the torture in a mount namespace of its own, so that its mounts disappear with it, even after a `kill -9`. */
async function goInside() {
  const program = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--inside']
  const child = spawn('unshare', ['-m', ...program], { stdio: 'inherit' })
  // The child also gets the signals of the terminal. Its exit code is the result.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
}

async function torture() {
  // Imported here, since the package may not have been built before.
  const { Campaign } = await import('./torture/campaign.mjs')
  const faults = ['kills', 'terminations']
  const soak = { threads: 2, faults, killsPerSecond: 1, writeTimeout: '1s', manualClock: false }
  const plan = {
    ...(options.soak ? { ...soak, seconds: Number(options.minutes) * 60 } : {}),
    ...JSON.parse(options.plan),
  }
  const campaign = new Campaign({
    milliseconds: Number(options.minutes) * 60_000,
    rounds: options.soak ? 1 : Number(options.rounds),
    // Without `--seed`, the first round always has seed 1, and the others have random seeds.
    seedOf: (round) =>
      options.seed === undefined ? (round === 0 ? 1 : randomInt(2 ** 31)) : Number(options.seed) + round,
    plan,
    canMount,
    isWatched: options.soak,
  })
  // Not `once`: a signal may come both from the terminal and from the parent process, and exiting at the second one
  // would leave everything behind.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => campaign.interrupt(signal))
  process.exitCode = (await campaign.run()) ? 0 : 1
}

function works(command, ...args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
