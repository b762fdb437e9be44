/**
 * The suites that run Rust tests: `cargo`, `kill` and `loom`, and which test files need the feature `kill-steps`.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { capture, readText, root } from '../setup.mjs'
import { minutes } from './outcomes.mjs'

export function runCargoTests() {
  return cargoTest(['--workspace'])
}

export function runKillTests() {
  const tests = chosen(testFilesOf('crates/core').filter((test) => test.needsKillSteps))
  return cargoTest(['-p', 'cache-machine-core', '--features', 'kill-steps', ...tests])
}

export function runLoomTests() {
  const args = [
    '-p',
    'cache-machine-shm',
    '--release',
    ...chosen(testFilesOf('crates/shm').filter((test) => test.needsLoom)),
  ]
  // A target folder of its own: the other flags would rebuild everything, here and in the next suite.
  return cargoTest([...args, '--target-dir', 'target/loom'], { RUSTFLAGS: '--cfg cache_machine_loom' })
}

function chosen(tests) {
  return tests.flatMap(({ name }) => ['--test', name])
}

/**
 * The integration tests of a crate, as Cargo finds them: `tests/x.rs`, `tests/x/main.rs` and the `path` of a
 * `[[test]]`.
 *
 * @returns {{ name: string, needsLoom: boolean, needsKillSteps: boolean }[]}
 */
export function testFilesOf(crate) {
  const manifest = readText(`${crate}/Cargo.toml`)
  const declared = manifest
    .split(/^(?=\[)/m)
    .filter((section) => section.startsWith('[[test]]'))
    .map((section) => ({
      name: /^name = "(.+)"/m.exec(section)?.[1],
      path: /^path = "(.+)"/m.exec(section)?.[1],
      needsKillSteps: /^required-features = .*kill-steps/m.test(section),
    }))
  const paths = new Map(declared.filter(({ path }) => path !== undefined).map(({ name, path }) => [name, path]))
  for (const entry of readdirSync(join(root, crate, 'tests'), { withFileTypes: true })) {
    const [name, path] = entry.isDirectory()
      ? [entry.name, `tests/${entry.name}/main.rs`]
      : [entry.name.replace(/\.rs$/, ''), `tests/${entry.name}`]
    if (![...paths.values()].includes(path) && readText(`${crate}/${path}`) !== undefined) paths.set(name, path)
  }
  return [...paths].map(([name, path]) => ({
    name,
    needsLoom: readText(`${crate}/${path}`)?.includes('#![cfg(cache_machine_loom)]') ?? false,
    needsKillSteps: declared.some((test) => test.name === name && test.needsKillSteps),
  }))
}

async function cargoTest(args, env = {}) {
  // Also the output of tests that passed: a test that cannot run here prints its reason and passes.
  const command = ['test', '--no-fail-fast', ...args, '--', '--show-output']
  const { code, output } = await capture('cargo', command, {
    env: { CARGO_TERM_COLOR: 'never', ...env },
    timeout: 10 * minutes,
  })
  return cargoOutcome(code, output)
}

/** Each test binary that ended normally has one `test result:` line; one that crashed has none. */
function cargoOutcome(code, output) {
  const results = [...output.matchAll(/^test result: \S+ (\d+) passed; (\d+) failed/gm)]
  const started = [...output.matchAll(/^ +(?:Running|Doc-tests) /gm)].length
  const passed = results.reduce((count, [, number]) => count + Number(number), 0)
  const failed = results.reduce((count, [, , number]) => count + Number(number), 0) + started - results.length
  const ignored = [...output.matchAll(/^test (.+) \.\.\. ignored/gm)].map(([, name]) => name)
  // A test that lacks rights prints this line and passes.
  const notRun = [...output.matchAll(/^ *not run: (.+)$/gm)].map(([, reason]) => reason)
  const skipped = [...ignored, ...notRun]
  const isBroken = code !== 0 || passed + failed + skipped.length === 0
  return {
    passed: Math.max(passed - notRun.length, 0),
    failed: isBroken ? Math.max(failed, 1) : failed,
    skipped,
    output: `${output}\ncargo ended with ${code}`,
  }
}
