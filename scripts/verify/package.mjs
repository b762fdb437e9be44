/**
 * The suite `package`: publint and `attw` on the tarballs of the packages as they are published. Every entry must
 * resolve, with the right types, in every mode: `require`, `import`, bundlers, and old resolution.
 *
 *   node scripts/verify/package.mjs
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stagePackages } from '../release/stage.mjs'
import { capture, ensureBuild, ensureDependencies, isMain, toolPath } from '../setup.mjs'
import { add, check, failure, report } from './outcomes.mjs'

export async function checkPackages() {
  const folder = mkdtempSync(join(tmpdir(), 'cache-machine-packages-'))
  try {
    // A placeholder for each binary: these tools look at manifests, modules and types.
    const folders = await stagePackages(folder, { binaryOf: () => undefined })
    const outcomes = []
    for (const staged of folders) outcomes.push(await checkPackage(staged, staged === folders.at(-1)))
    return outcomes.reduce(add)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function checkPackage(folder, hasTypes) {
  const { code, output } = await capture('npm', ['pack', '--silent'], { cwd: folder })
  if (code !== 0) return failure(`npm pack ended with ${code} in ${folder}\n${output}`)
  const tarball = join(folder, output.trim().split('\n').at(-1))
  const publint = await check('publint', toolPath('publint'), ['run', '--strict', tarball])
  return hasTypes ? add(publint, await check('attw', toolPath('attw'), ['--no-color', tarball])) : publint
}

if (isMain(import.meta.url)) {
  await ensureDependencies()
  await ensureBuild()
  report(await checkPackages())
}
