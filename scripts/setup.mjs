/**
 * `npm run build`: makes a fresh clone usable. Installs the dependencies and builds the native addon, dist/ and the
 * rolled-up types. `npm start`, `npm test` and the benches call these functions first.
 *
 * Neither this module nor those it imports may import a dependency at load time: a fresh clone has none installed.
 */
import { ensureBuild } from './setup/build.mjs'
import { ensureDependencies } from './setup/dependencies.mjs'
import { isMain } from './setup/repository.mjs'

export { addonBuild, ensureBuild, generatedFiles, prettify, regenerate } from './setup/build.mjs'
export { ensureDependencies } from './setup/dependencies.mjs'
export { capture, run } from './setup/processes.mjs'
export { inCi, isMain, readJson, readText, root, toolPath } from './setup/repository.mjs'

if (isMain(import.meta.url)) {
  try {
    await ensureDependencies()
    await ensureBuild()
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
