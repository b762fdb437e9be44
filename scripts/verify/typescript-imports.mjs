/**
 * Import circles and broken layers in lib/, by the rules of layers.cjs. One test for each rule.
 *
 *   node scripts/verify/typescript-imports.mjs
 */
import { createRequire } from 'node:module'
import { capture, ensureDependencies, isMain, toolPath } from '../setup.mjs'
import { add, failure, judge, report } from './outcomes.mjs'

const CONFIG = 'scripts/verify/layers.cjs'

export async function checkTypeScriptImports() {
  const args = ['--config', CONFIG, '--output-type', 'json', 'index.ts', 'testing.ts', 'dashboard.ts', 'lib']
  const { output } = await capture(toolPath('depcruise'), args, { timeout: 60_000 })
  let violations
  try {
    ;({ violations } = JSON.parse(output).summary)
  } catch {
    return failure(`dependency-cruiser gave no report:\n${output}`)
  }
  const { forbidden } = createRequire(import.meta.url)('./layers.cjs')
  return forbidden
    .map(({ name }) => judge(`TypeScript: ${name}`, violations.filter(({ rule }) => rule.name === name).map(describe)))
    .reduce(add)
}

function describe({ from, to, cycle }) {
  return cycle === undefined ? `${from} → ${to}` : [from, ...cycle.map((step) => step.name)].join(' → ')
}

if (isMain(import.meta.url)) {
  await ensureDependencies()
  report(await checkTypeScriptImports())
}
