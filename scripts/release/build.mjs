/**
 * Builds the binary of one platform for publication: `node scripts/release/build.mjs --platform linux-x64-gnu`.
 *
 *   --platform ID    one of those in npm/
 *   --out FOLDER     where the binary goes; default: target/binaries
 */
import { copyFileSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { isMain, root } from '../setup.mjs'
import { problemsOf } from './binaries.mjs'
import { buildAddonFor } from './cross.mjs'
import { platforms } from './manifests.mjs'

const { values: options } = parseArgs({
  options: {
    platform: { type: 'string' },
    out: { type: 'string', default: join(root, 'target/binaries') },
  },
})

async function main() {
  const platform = platforms.find(({ id }) => id === options.platform)
  if (platform === undefined) throw new Error(`--platform is one of ${platforms.map(({ id }) => id).join(', ')}`)
  const out = join(resolve(options.out), platform.file)
  mkdirSync(resolve(options.out), { recursive: true })
  const built = await buildAddonFor(platform)
  copyFileSync(built.file, out)
  const problems = problemsOf(out, platform)
  if (problems.length > 0) throw new Error(problems.join('\n'))
  console.log(out)
}

if (isMain(import.meta.url)) {
  main().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
