/**
 * The suite `drift`: generated files are what the sources generate, the catalogue is complete, and typedoc has no
 * warnings.
 */
import { generatedFiles, inCi, readText, regenerate } from '../setup.mjs'
import { findGaps } from './catalogue-check.mjs'
import { makePages } from './docs.mjs'
import { add, check, failure, judge, success } from './outcomes.mjs'
import { checkReference } from './reference.mjs'

// As they were when this module was loaded, before anything could rebuild them.
const before = readGenerated()

/** Files must be up to date as they were before this run, and in CI also as committed. */
export async function checkDrift() {
  await regenerate()
  const now = readGenerated()
  const outcomes = generatedFiles.map((file) => compare(file, before[file], now[file]))
  if (inCi) outcomes.push(await check('git diff', 'git', ['diff', '--exit-code', '--', ...generatedFiles]))
  return [...outcomes, ...(await checkPages()), await checkReference(), checkCatalogue()].reduce(add)
}

function checkCatalogue() {
  return judge('Problems of scripts/catalogue.mjs', findGaps())
}

/** The generated parts of the documentation. This check does not write them. */
async function checkPages() {
  const pages = await makePages()
  return pages.map((page) => {
    return page.before === page.now
      ? success
      : failure(`${page.path} is out of date: run \`npm run docs\` and commit it`)
  })
}

function compare(file, old, now) {
  if (old === now) return success
  return failure(`${file} was ${old === undefined ? 'missing' : 'out of date'}. It is right now: commit it`)
}

function readGenerated() {
  return Object.fromEntries(generatedFiles.map((file) => [file, readText(file)]))
}
