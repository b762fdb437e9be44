/**
 * `npm run campaign`: the runs that are too long for `npm test`, hours in all.
 *
 *   npm run campaign                      all, one after the other
 *   npm run campaign -- --only kills      those with this in their name
 *   npm run campaign -- --list            what there is, and how long each takes
 *
 * Each is an ordinary command that can be run alone. What was seen is recorded by hand in docs/campaigns.md.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies, root } from './setup.mjs'

/** `minutes`: about how long it takes on two cores. */
const campaigns = [
  {
    name: 'kills',
    minutes: 8,
    env: { KILLS: '100000', SEED: '1' },
    command: 'cargo test -p cache-machine-core --features kill-steps --test crash random_kills -- --nocapture',
  },
  {
    name: 'repairs',
    minutes: 3,
    env: { REPAIRS: '1' },
    command: 'cargo test -p cache-machine-core --features kill-steps --test crash killed_at_every -- --nocapture',
  },
  {
    name: 'histories',
    minutes: 1,
    env: { HISTORIES: '10000', SEED: '1' },
    command: 'cargo test -p cache-machine-core --features kill-steps --test linearizable -- --nocapture',
  },
  { name: 'takeovers', minutes: 2, env: { TAKEOVERS: '200' }, command: 'npx ava __test__/lock.spec.ts' },
  { name: 'locks', minutes: 10, env: { LOCK_SECONDS: '600' }, command: 'npx ava __test__/lock-kills.spec.ts' },
  {
    name: 'exactness',
    minutes: 2,
    env: { CALLS: '100000', KILLS: '200' },
    command: 'npx ava __test__/exactness.spec.ts',
  },
  {
    name: 'divisions',
    minutes: 2,
    env: { DIVISIONS: '1000' },
    command: 'cargo test -p cache-machine-core --features kill-steps --test processes divided',
  },
  { name: 'torture', minutes: 60, command: 'npm run torture -- --minutes 60' },
  { name: 'soak', minutes: 60, command: 'npm run torture -- --soak --minutes 60' },
  {
    name: 'stops',
    minutes: 1,
    env: { STOPS: '1000' },
    command:
      'cargo test -p cache-machine-core --features kill-steps --test processes stopped_at_any_step -- --nocapture',
  },
  {
    name: 'races',
    minutes: 2,
    env: { RACES: '10000' },
    command: 'cargo test -p cache-machine-core --features kill-steps --test processes rac -- --nocapture',
  },
  { name: 'models', minutes: 7, command: 'npm run model' },
  {
    name: 'words',
    minutes: 6,
    env: { WORDS: '100000000', SEED: '1' },
    command: 'cargo test -p cache-machine-core --test hostile random_words -- --nocapture',
  },
  {
    name: 'bits',
    minutes: 10,
    env: { BITS: 'all' },
    command: 'cargo test -p cache-machine-core --test hostile every_single_bit -- --nocapture',
  },
  { name: 'fuzz', minutes: 95, command: 'npm run fuzz -- --seconds 1800 --jobs 2' },
  { name: 'mutants', minutes: 20, command: 'npm run mutants' },
  { name: 'sanitize', minutes: 30, command: 'npm run sanitize' },
]

const { values: options } = parseArgs({ options: { only: { type: 'string' }, list: { type: 'boolean' } } })
const selected = campaigns.filter(({ name }) => name.includes(options.only ?? ''))

if (selected.length === 0) fail(`No such campaign. There are: ${campaigns.map(({ name }) => name).join(', ')}`)
if (options.list) for (const campaign of selected) console.log(describe(campaign))
else await runAll()

async function runAll() {
  await ensureDependencies()
  await ensureBuild()

  const failed = []
  for (const campaign of selected) {
    console.log(`\n${describe(campaign)}`)
    const start = performance.now()
    const isGood = await run(campaign)
    console.log(`${campaign.name}: ${isGood ? 'passed' : 'FAILED'} after ${minutesSince(start)} min`)
    if (!isGood) failed.push(campaign.name)
  }
  console.log(`\n${selected.length - failed.length} passed, ${failed.length} failed`)
  process.exitCode = failed.length === 0 ? 0 : 1
}

async function run({ command, env }) {
  const child = spawn(command, { cwd: root, env: { ...process.env, ...env }, shell: true, stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  return code === 0
}

function describe({ name, minutes, command, env = {} }) {
  const settings = Object.entries(env).map(([key, value]) => `${key}=${value} `)
  return `${name} (some ${minutes} min): ${settings.join('')}${command}`
}

function minutesSince(start) {
  return ((performance.now() - start) / 60_000).toFixed(1)
}

function fail(message) {
  console.error(message)
  process.exit(2)
}
