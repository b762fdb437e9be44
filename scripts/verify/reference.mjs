/**
 * The API reference: docs/api/, made by typedoc from the doc comments. The folder is not committed.
 */
import { capture, toolPath } from '../setup.mjs'
import { entries } from '../setup/entries.mjs'
import { check, minutes } from './outcomes.mjs'

const OPTIONS = [
  ...(
    '--readme none --name cache-machine --disableSources --sort source-order ' +
    '--excludePrivate --excludeInternal --excludeExternals --treatWarningsAsErrors --logLevel Warn'
  ).split(' '),
  ...entries().map(({ source }) => source),
]

/** Builds docs/api/index.html, with one page for each class and interface. Throws at a warning. */
export async function buildReference() {
  const { code, output } = await capture(toolPath('typedoc'), ['--out', 'docs/api', ...OPTIONS], {
    timeout: 2 * minutes,
  })
  if (code !== 0) throw new Error(`typedoc ended with ${code}\n${output.trimEnd()}`)
}

/** One test: typedoc reads all doc comments without a warning. Writes nothing. */
export function checkReference() {
  return check('typedoc', toolPath('typedoc'), ['--emit', 'none', ...OPTIONS], { timeout: 2 * minutes })
}
