/**
 * The suites that run one tool each: formatting, lints and types.
 */
import { toolPath } from '../setup.mjs'
import { add, check } from './outcomes.mjs'

export async function checkFormatting() {
  // The fuzz targets are a workspace of their own.
  const fuzzTargets = ['--manifest-path', 'crates/core/fuzz/Cargo.toml']
  const outcomes = [
    await check('prettier', toolPath('prettier'), ['--check', '--log-level', 'warn', '.']),
    await check('cargo fmt', 'cargo', ['fmt', '--all', '--check']),
    await check('cargo fmt of the fuzz targets', 'cargo', ['fmt', ...fuzzTargets, '--check']),
  ]
  return outcomes.reduce(add)
}

export function checkWithClippy() {
  const args = ['clippy', '--workspace', '--all-targets', '--all-features', '--', '-D', 'warnings']
  return check('clippy', 'cargo', args)
}

export function checkWithOxlint() {
  return check('oxlint', toolPath('oxlint'), ['--deny-warnings'])
}

export function checkTypes() {
  return check('tsc', toolPath('tsc'), ['--noEmit'])
}
