/**
 * Prose: no committed text has a word that the English rule of CONTRIBUTING.md excludes. One test.
 *
 *   node scripts/verify/prose.mjs
 *
 * Exceptions are in prose-allowed.json: the file, and the whole line without the spaces around it. An exception that no
 * line needs any more is a problem as well.
 */
import { isMain, readJson, readText } from '../setup.mjs'
import { committedFiles, isGenerated } from './files.mjs'
import { judge, report } from './outcomes.mjs'

const ALLOWED = 'scripts/verify/prose-allowed.json'
const TEXT = /\.(?:rs|ts|mjs|cjs|js|md|json|ya?ml|toml|pml|sh|txt|css|html|svg)$|^\.ci\//

/** Things are no persons, and a warning begins with "Caution:". */
const WORDS = /\b(?:who|whom|whoever|whose|somebody|nobody|anybody|everybody)\b|the thing to get wrong/i
/** The names of limits begin with MAX_ or MIN_. */
const NAMES = /\b(?:MOST|LONGEST|LARGEST|SMALLEST|FEWEST)(?:_[A-Z_]+)?\b/

function bannedIn(text) {
  return (WORDS.exec(text) ?? NAMES.exec(text))?.[0]
}

export function checkProse() {
  const allowed = readJson(ALLOWED).map(({ file, line }) => ({ file, line, isUsed: false }))
  const problems = committedFiles()
    .filter((path) => TEXT.test(path) && !isGenerated(path) && path !== ALLOWED)
    .flatMap((path) =>
      readText(path)
        .split('\n')
        .map((text, index) => ({ path, text, number: index + 1 })),
    )
    .map((line) => ({ ...line, found: bannedIn(line.text) }))
    .filter(({ found }) => found !== undefined)
    .filter(({ path, text }) => {
      const exception = allowed.find(({ file, line }) => file === path && line === text.trim())
      if (exception !== undefined) exception.isUsed = true
      return exception === undefined
    })
    .map(({ path, text, number, found }) => `${path}:${number}: "${found}": ${text.trim().slice(0, 100)}`)
  const unused = allowed
    .filter(({ isUsed }) => !isUsed)
    .map(({ file, line }) => `${ALLOWED}: no such line: ${file}: ${line}`)
  return judge('Lines with a word that the English rule excludes', [...problems, ...unused])
}

if (isMain(import.meta.url)) report(checkProse())
