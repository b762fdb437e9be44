/**
 * The suite `structure`: how the repository is built, from import circles to words.
 *
 *   node scripts/verify/structure.mjs
 *
 * Each check also runs as a program of its own.
 */
import { ensureDependencies, isMain, root } from '../setup.mjs'
import { checkAdapters } from './adapters.mjs'
import { checkFileSizes } from './file-sizes.mjs'
import { checkMarkdown } from './markdown.mjs'
import { placeProblems } from '../campaigns/mutant-places.mjs'
import { add, judge, report } from './outcomes.mjs'
import { checkProse } from './prose.mjs'
import { checkRustModules } from './rust-modules.mjs'
import { checkTypeScriptImports } from './typescript-imports.mjs'

export async function checkStructure() {
  const imports = await checkTypeScriptImports()
  const rest = [checkRustModules(), checkFileSizes(), checkMarkdown(), checkProse(), checkAdapters(), checkMutants()]
  return rest.reduce(add, imports)
}

/** Every mutant must find its place, long before the campaign runs. */
function checkMutants() {
  return judge('Mutants without a place', placeProblems(root))
}

if (isMain(import.meta.url)) {
  await ensureDependencies()
  report(await checkStructure())
}
