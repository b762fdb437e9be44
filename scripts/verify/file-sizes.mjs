/**
 * File sizes: no source file is longer than 600 lines, unless its first 30 lines give the reason in a sentence that
 * begins with "Size:". A file of an adapter has at most 250 lines, without exception.
 *
 *   node scripts/verify/file-sizes.mjs
 */
import { isMain, readText } from '../setup.mjs'
import { committedFiles, isGenerated } from './files.mjs'
import { judge, report } from './outcomes.mjs'

const MAX_LINES = 600
const MAX_ADAPTER_LINES = 250
/** The reason must stand within so many lines. */
const HEAD_LINES = 30

export function checkFileSizes() {
  const problems = committedFiles()
    .filter((path) => /\.(?:rs|ts|mjs)$/.test(path) && !isGenerated(path))
    .map((path) => ({ path, lines: readText(path).trimEnd().split('\n') }))
    .filter(({ path, lines }) =>
      path.startsWith('lib/adapters/')
        ? lines.length > MAX_ADAPTER_LINES
        : lines.length > MAX_LINES && !hasReason(lines),
    )
    .toSorted((a, b) => b.lines.length - a.lines.length)
    .map(({ path, lines }) => `${path}: ${lines.length} lines`)
  const adapters = `${MAX_ADAPTER_LINES} in lib/adapters/`
  return judge(`Files of more than ${MAX_LINES} lines (${adapters}) without a reason ("Size: …" in the head)`, problems)
}

/** The sentence may begin a comment line, or follow another sentence. */
function hasReason(lines) {
  return lines.slice(0, HEAD_LINES).some((line) => /(?:^\s*(?:\/\/[/!]?|\/\*\*?|\*)\s*|[.!?] )Size: \S/.test(line))
}

if (isMain(import.meta.url)) report(checkFileSizes())
