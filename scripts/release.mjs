/**
 * Publishes all packages, with provenance: `npm run release -- --binaries FOLDER`, from a workflow.
 *
 *   --binaries FOLDER   has the binary of each platform; the workflow builds them
 *   --dry-run           does everything but publish
 *
 * It refuses a placeholder, a binary for another platform, one that needs a newer glibc than is promised, and a manifest
 * that lacks what provenance needs. The packages of the platforms come first: `cache-machine` depends on them.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { problemsOf } from './release/binaries.mjs'
import { mainManifest, platforms } from './release/manifests.mjs'
import { stagePackages } from './release/stage.mjs'
import { capture, ensureBuild, ensureDependencies, isMain } from './setup.mjs'

const { values: options } = parseArgs({
  options: { binaries: { type: 'string', default: 'native' }, 'dry-run': { type: 'boolean', default: false } },
})

async function main() {
  await ensureDependencies()
  await ensureBuild()
  const binaries = resolve(options.binaries)
  const problems = [
    ...platforms.flatMap((platform) => problemsOf(join(binaries, platform.file), platform)),
    ...(mainManifest().repository === undefined ? ['package.json has no `repository`, which provenance needs'] : []),
  ]
  for (const problem of problems) console.error(problem)
  if (problems.length > 0) throw new Error(`Nothing was published: ${problems.length} problems`)

  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-release-'))
  try {
    const folders = await stagePackages(folder, { binaryOf: ({ file }) => join(binaries, file) })
    for (const staged of folders) await publish(staged)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function publish(folder) {
  const args = ['publish', '--access', 'public', ...(options['dry-run'] ? ['--dry-run'] : ['--provenance'])]
  const { code, output } = await capture('npm', args, { cwd: folder })
  if (code !== 0) throw new Error(`npm ${args.join(' ')} ended with ${code} in ${folder}\n${output}`)
  console.log(`${options['dry-run'] ? 'Would publish' : 'Published'} ${folder} (${sizeOf(folder)} bytes unpacked)`)
}

function sizeOf(folder) {
  const files = readdirSync(folder, { recursive: true }).map((name) => statSync(join(folder, name)))
  return files.reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0)
}

if (isMain(import.meta.url)) {
  main().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
