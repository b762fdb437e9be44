/**
 * The suite `runtimes`, and `npm run test:nodes`: the same build on other versions of Node.js, on Bun and on Deno.
 *
 *   npm run test:nodes                 all specs on every supported version of Node.js, the smoke suite on Bun and Deno
 *   npm run test:nodes -- --only 24    all specs on this version only
 *
 * The suite takes less time: the smoke suite on every runtime, and the specs of the API, of processes and of the adapters
 * with hosts that ask for a newer Node.js on one version beside that of the machine.
 */
import { parseArgs } from 'node:util'
import { delimiter, join } from 'node:path'
import { capture, ensureBuild, ensureDependencies, isMain, root } from '../setup.mjs'
import { nodeFolder, nodeVersions, runtimeProgram } from '../setup/runtimes.mjs'
import { add, failure, minutes, nothing, report, skipped, sumOf } from './outcomes.mjs'
import { runSpecs, specFiles } from './specs.mjs'

const smokeSpec = join(root, '__test__/smoke/smoke.mjs')
const majors = Object.keys(nodeVersions)

/** The suite `runtimes` of `npm test`. */
export async function checkRuntimes() {
  let outcome = await smokeEverywhere(majors)
  const newer = majors.findLast((major) => major !== process.versions.node.split('.')[0])
  const isChosen = (file) => /\/__test__\/(?:api|processes|adapters\/node\d+)\//.test(file)
  outcome = add(outcome, await specsOn(newer, specFiles(newer).filter(isChosen)))
  return outcome
}

async function smokeEverywhere(nodes) {
  let outcome = nothing
  for (const major of nodes) {
    outcome = add(outcome, await smoke(`Node.js ${nodeVersions[major]}`, async () => `${await nodeFolder(major)}/node`))
  }
  outcome = add(outcome, await smoke('Bun', () => runtimeProgram('bun')))
  return add(outcome, await smoke('Deno', () => runtimeProgram('deno'), ['run', '-A']))
}

/** `find`: returns the path of the runtime. */
async function smoke(title, find, flags = []) {
  try {
    return await runSmoke(title, [await find(), ...flags])
  } catch (error) {
    return skipped(`${title}: ${error.message}`)
  }
}

/** Runs the smoke suite. `command`: the runtime, with what comes before the program. */
export async function runSmoke(title, [command, ...args], env = {}) {
  const { code, output } = await capture(command, [...args, smokeSpec], { env, timeout: 5 * minutes })
  const [, passed, failed] = /^(\d+) passed, (\d+) failed$/m.exec(output) ?? []
  if (passed === undefined) return failure(`${output}\nThe smoke suite on ${title} ended with ${code}`)
  console.log(`  ${title}: ${passed} passed, ${failed} failed`)
  if (code === 0) return { ...nothing, passed: Number(passed) }
  return { ...nothing, passed: Number(passed), failed: Math.max(Number(failed), 1), output }
}

/** Runs specs on a version of Node.js. A busy machine needs much longer for all of them than an idle one. */
async function specsOn(major, files) {
  let folder
  try {
    folder = await nodeFolder(major)
  } catch (error) {
    return skipped(`Node.js ${major}: ${error.message}`)
  }
  // AVA starts, and starts its processes, with the first `node` of the path.
  const env = { PATH: `${folder}${delimiter}${process.env.PATH}` }
  const outcome = await runSpecs({ files, env, timeout: 60 * minutes })
  console.log(`  ${files.length} specs on Node.js ${nodeVersions[major]}: ${sumOf(outcome)}`)
  // At once: all versions take long, and a run may be interrupted.
  if (outcome.failed === 0) return outcome
  console.log(outcome.output)
  return { ...outcome, output: '' }
}

if (isMain(import.meta.url)) {
  const { values: options } = parseArgs({ options: { only: { type: 'string' } } })
  await ensureDependencies()
  await ensureBuild()
  const chosen = majors.filter((major) => options.only === undefined || options.only.split(',').includes(major))
  let outcome = options.only === undefined ? await smokeEverywhere([]) : nothing
  for (const major of chosen) outcome = add(outcome, await specsOn(major, specFiles(major)))
  report(outcome)
}
