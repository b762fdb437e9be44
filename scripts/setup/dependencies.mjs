/**
 * Installs the dependencies that package-lock.json names.
 */
import { exclusively } from './exclusive.mjs'
import { run } from './processes.mjs'
import { readJson } from './repository.mjs'

/**
 * Installs the dependencies unless they are installed.
 *
 * @param {{ log?: (line: string) => void }} [options]
 */
export async function ensureDependencies({ log = console.log } = {}) {
  if (areInstalled()) return
  await exclusively(log, async () => {
    if (areInstalled()) return
    log('Installing the dependencies (npm ci)')
    // No dependency needs its install script.
    await run('npm', ['ci', '--include=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'])
  })
}

/** npm writes the hidden lock file last, so that file tells a complete installation from an interrupted one. */
function areInstalled() {
  const wanted = readJson('package-lock.json')?.packages ?? {}
  const installed = readJson('node_modules/.package-lock.json')?.packages ?? {}
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || installed[path]?.version === entry.version,
  )
}
