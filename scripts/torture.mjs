/**
 * `npm run torture`: several processes and threads do everything there is to do at random, while they are killed, stopped,
 * terminated, cleared and destroyed under one another; and nothing that was acknowledged may be lost, torn or stuck.
 *
 *   npm run torture                          a minute
 *   npm run torture -- --minutes 60          longer
 *   npm run torture -- --seed 7 --rounds 1   the round of one seed
 *   npm run torture -- --soak --minutes 60   one long round with a kill each second; memory and space must stay flat
 *
 * A round has a plan that follows from its seed: see torture/plan.mjs. What a failure is told by: the seed, the failure, and the
 * smallest plan that was found to fail, with the last operations that concern it. `--plan JSON` plays a plan, in parts too.
 *
 * The thing to get wrong: a seed decides what everybody tries, but not who comes first, and not where a kill meets him. The same
 * seed need not fail again; play it several times.
 */
import { spawn, spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies } from './setup.mjs'

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

/** Into a mount namespace of our own: whatever is mounted there is gone with us, also after a `kill -9`. */
async function goInside() {
  const program = [process.execPath, fileURLToPath(import.meta.url), ...process.argv.slice(2), '--inside']
  const child = spawn('unshare', ['-m', ...program], { stdio: 'inherit' })
  // A signal from the terminal reaches it as well, and it tells how it ended.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
}

async function torture() {
  // Not earlier: it may not have been built.
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
    // The first round of a run is always the same one, the others are news.
    seedOf: (round) =>
      options.seed === undefined ? (round === 0 ? 1 : randomInt(2 ** 31)) : Number(options.seed) + round,
    plan,
    canMount,
    isWatched: options.soak,
  })
  // More than once: a terminal tells us as well as the one who started us, and to end at the second would leave everything behind.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => campaign.interrupt(signal))
  process.exitCode = (await campaign.run()) ? 0 : 1
}

function works(command, ...args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0
}
