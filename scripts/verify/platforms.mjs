/**
 * `npm run test:platforms`: builds the addon for the other platforms of the packages, and runs tests on it here.
 *
 *   npm run test:platforms                            every platform
 *   npm run test:platforms -- --only linux-x64-musl   this platform
 *   npm run test:platforms -- --specs get-set         specs with this in their path, instead of those below
 *
 * musl on x64 runs natively, with all specs. arm64 runs under qemu-user, some 20 times slower, with the specs that are
 * known to end in time there. Needs root, Debian's apt, pip and unshare; docs/platforms.md has the results.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureBuild, ensureDependencies, root } from '../setup.mjs'
import { problemsOf } from '../release/binaries.mjs'
import { buildAddonFor } from '../release/cross.mjs'
import { platforms } from '../release/manifests.mjs'
import { foreignNode } from '../release/foreign-node.mjs'
import { add, failure, judge, minutes, nothing, report } from './outcomes.mjs'
import { runSmoke } from './runtimes.mjs'
import { runSpecs, specFiles } from './specs.mjs'

/** Under an emulator each start of Node.js takes seconds, so specs with many processes exceed their own time limits. */
const emulated =
  /\/api\/(?:codec-\w+|get-set|values|conditional-writes|counters|wait-for|watch|locks|get-or-set|tags)\./
/** These specs build or start programs of this machine's own platform. */
const native = /\/benches\/|\/package\//

const { values: options } = parseArgs({ options: { only: { type: 'string' }, specs: { type: 'string' } } })

await ensureDependencies()
await ensureBuild()
const own = `linux-${process.arch}-gnu`
const chosen = options.only?.split(',') ?? platforms.map(({ id }) => id).filter((id) => id !== own)
let outcome = nothing
for (const id of chosen) outcome = add(outcome, await testPlatform(platforms.find((platform) => platform.id === id)))
report(outcome)

async function testPlatform(platform) {
  let built
  try {
    built = await buildAddonFor(platform)
  } catch (error) {
    return failure(error.message)
  }
  const problems = problemsOf(built.file, platform)
  if (built.warnings > 0) problems.push(`The build has warnings: ${built.warnings}`)
  const node = await foreignNode(platform.id)
  const title = `${platform.id}, Node.js ${node.version}`
  let sum = judge(title, problems)
  const env = { ...node.env, CACHE_MACHINE_NATIVE: built.file }
  sum = add(sum, await runSmoke(title, node.command, env))
  const files = specFiles(node.version.split('.')[0]).filter((file) => isChosen(file, node.isEmulated))
  const [program, ...args] = node.command
  const ava = join(root, 'node_modules/ava/entrypoints/cli.mjs')
  const slow = node.isEmulated ? ['--serial', '--concurrency=1', '--timeout=20m'] : []
  const result = await runSpecs({ files, program, args: [...args, ava, ...slow], env, timeout: 120 * minutes })
  console.log(`  ${title}: ${files.length} specs: ${result.passed} passed, ${result.failed} failed`)
  return add(sum, result)
}

function isChosen(file, isEmulated) {
  if (options.specs !== undefined) return file.includes(options.specs)
  return isEmulated ? emulated.test(file) : !native.test(file)
}
