/**
 * `npm run test:next`: the applications of `cache-machine/next` with every version of Next and every bundler. `npm test`
 * runs Next 16 with Turbopack only.
 *
 *   npm run test:next                     all of them
 *   npm run test:next -- next-15          one of them
 *   NEXT_VERSION=15.5.0 npm run test:next -- next-15    with another version than that of the lockfile
 */
import { join } from 'node:path'
import { ensureBuild, ensureDependencies, isMain, root } from '../setup.mjs'
import { variants } from './next-apps.mjs'
import { add, minutes, nothing, report, sumOf } from './outcomes.mjs'
import { runSpecs } from './specs.mjs'

export async function runNextApps(only) {
  let sum = nothing
  for (const name of Object.keys(variants).filter((one) => only === undefined || one === only)) {
    const spec = variants[name].sources === 'next-components' ? 'next-components' : 'next-app'
    const files = [join(root, `__test__/adapters/${spec}.spec.ts`)]
    const outcome = await runSpecs({ files, env: { NEXT_VARIANT: name }, timeout: 30 * minutes })
    console.log(`  ${name}: ${sumOf(outcome)}`)
    sum = add(sum, outcome)
  }
  return sum
}

if (isMain(import.meta.url)) {
  await ensureDependencies()
  await ensureBuild()
  const outcome = await runNextApps(process.argv[2])
  report(outcome.failed === 0 ? { ...outcome, output: '' } : outcome)
}
