/**
 * `npm run campaign`: the runs that are too long for `npm test`.
 *
 *   npm run campaign                      all, one after the other
 *   npm run campaign -- --only kills      those with this in their name
 *   npm run campaign -- --list            prints them, with their duration and command
 *
 * The campaigns are listed in ../catalogue.mjs. Each is an ordinary command that can be run alone. Results are
 * recorded by hand in docs/campaigns.md.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { parseArgs } from 'node:util'
import { campaigns } from '../catalogue.mjs'
import { ensureBuild, ensureDependencies, root } from '../setup.mjs'
import { describeCampaign } from '../verify/catalogue-tables.mjs'

const { values: options } = parseArgs({ options: { only: { type: 'string' }, list: { type: 'boolean' } } })
const selected = campaigns.filter(({ name }) => name.includes(options.only ?? ''))

if (selected.length === 0) fail(`No such campaign. There are: ${campaigns.map(({ name }) => name).join(', ')}`)
if (options.list) for (const campaign of selected) console.log(describeCampaign(campaign))
else await runAll()

async function runAll() {
  await ensureDependencies()
  await ensureBuild()

  const failed = []
  for (const campaign of selected) {
    console.log(`\n${describeCampaign(campaign)}`)
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

function minutesSince(start) {
  return ((performance.now() - start) / 60_000).toFixed(1)
}

function fail(message) {
  console.error(message)
  process.exit(2)
}
