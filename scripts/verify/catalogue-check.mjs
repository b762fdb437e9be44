/**
 * Finds what scripts/catalogue.mjs lacks, and what it names that does not exist.
 */
import { execFileSync } from 'node:child_process'
import { basename, dirname, join, relative } from 'node:path'
import { campaigns, children, programs } from '../catalogue.mjs'
import { readJson, readText, root } from '../setup.mjs'
import { committedFiles } from './files.mjs'
import { specFiles } from './specs.mjs'

/** All problems, as sentences. */
export function findGaps() {
  return [...findScriptGaps(), ...findFileGaps(), ...findCampaignGaps()]
}

/** npm scripts and the catalogue name each other. */
function findScriptGaps() {
  const { scripts } = readJson('package.json')
  const known = new Map(programs.filter(({ script }) => script !== undefined).map((entry) => [entry.script, entry]))
  return [
    ...Object.keys(scripts)
      .filter((name) => !known.has(name))
      .map((name) => `The npm script \`${name}\` is not in the catalogue`),
    ...[...known.keys()].filter((name) => !(name in scripts)).map((name) => `There is no npm script \`${name}\``),
    ...[...known]
      .filter(([name, { file }]) => file !== undefined && name in scripts && !scripts[name].includes(file))
      .map(([name, { file }]) => `The npm script \`${name}\` does not run ${file}`),
  ]
}

/** Each program of scripts/ is in the catalogue, and each file of the catalogue exists. */
function findFileGaps() {
  const known = [...programs, ...children].map(({ file }) => file).filter((file) => file !== undefined)
  const starters = children.map(({ startedBy }) => startedBy)
  return [
    ...runnableFiles()
      .filter((file) => !known.includes(file))
      .map((file) => `${file} can be run and is not in the catalogue`),
    ...[...known, ...starters].filter((file) => readText(file) === undefined).map((file) => `${file} does not exist`),
  ]
}

/**
 * A module of scripts/ that nothing imports, or that checks whether it is the main module. hosts.mjs imports those of
 * hosts/ by their names.
 */
function runnableFiles() {
  const modules = committedFiles().filter((file) => /\.(?:mjs|js|ts)$/.test(file))
  const imported = new Set(modules.flatMap((file) => importsOf(file)))
  return modules
    .filter((file) => file.startsWith('scripts/') && !file.startsWith('scripts/verify/hosts/'))
    .filter((file) => !imported.has(file) || /^if \(isMain\(/m.test(readText(file)))
}

function importsOf(file) {
  const found = readText(file).matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"](\.[^'"]+)['"]/g)
  return [...found].map(([, path]) => relative(root, join(root, dirname(file), path)))
}

/** The tests and specs that campaigns name exist. */
function findCampaignGaps() {
  return campaigns.flatMap(({ name, command }) => {
    const [, filter] = / --tests (\w+)/.exec(command) ?? []
    const [, spec] = /'\*\*\/(.+?)'/.exec(command) ?? []
    if (filter !== undefined && !hasRustTest(filter))
      return [`Campaign ${name}: no Rust test has ${filter} in its name`]
    if (spec !== undefined && !specFiles().some((file) => basename(file) === spec)) {
      return [`Campaign ${name}: there is no ${spec}`]
    }
    return []
  })
}

/** Test names are names of functions, or strings in the tests that have a harness of their own. */
function hasRustTest(filter) {
  const pattern = `(fn |")\\w*${filter}\\w*`
  try {
    execFileSync('grep', ['-rqE', pattern, 'crates/core/tests', 'crates/core/src'], { cwd: root })
    return true
  } catch {
    return false
  }
}
