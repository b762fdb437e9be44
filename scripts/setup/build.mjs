/**
 * Builds the native addon, dist/ and the rolled-up types.
 *
 * A step is skipped when its outputs exist and were made from the sources as they are. Contents are compared, not
 * times, because git and tar set times of their own.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { mkdir, rename, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { compileTypeScript, writeTypes } from './dist.mjs'
import { entries } from './entries.mjs'
import { exclusively } from './exclusive.mjs'
import { capture, run } from './processes.mjs'
import { CargoProgress } from './progress.mjs'
import { readJson, root, toolPath } from './repository.mjs'

/** The entries with committed types. The contract of an adapter is its source, which is one file. */
const rolledUp = entries().filter(({ isAdapter }) => !isAdapter)

/** Generated files that are committed, so that a change of the contract is a visible diff. */
export const generatedFiles = [
  'native/index.d.ts',
  'lib/native/layout.ts',
  ...rolledUp.map(({ output }) => `${output}.d.ts`),
]

/** The arguments with which napi builds the addon and its types. */
export const addonBuild = ['build', '--platform', '--manifest-path', 'crates/node/Cargo.toml']
addonBuild.push('--output-dir', 'native', '--no-js', '--dts', 'index.d.ts')

const layoutFile = 'lib/native/layout.ts'
const stampFile = join(root, 'native/.stamp')
const typeScriptSources = [
  ...rolledUp.map(({ source }) => source),
  'lib',
  'native/index.d.ts',
  'native/loader.cjs',
  'native/loader.d.cts',
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'package-lock.json',
]

/**
 * In this order, since each step reads the outputs of those above it. A fresh clone trusts an output that is committed;
 * the drift check compares it.
 */
const steps = [
  {
    name: 'addon',
    title: 'the native addon (cargo build --release: minutes the first time, then seconds)',
    sources: ['Cargo.toml', 'Cargo.lock', 'rust-toolchain.toml', '.cargo', 'crates', 'package.json'],
    isThere: () => haveFiles('native/index.d.ts') && haveAddon(),
    build: buildAddon,
  },
  {
    name: 'layout',
    title: 'lib/native/layout.ts (the numbers that both sides share)',
    sources: ['crates/node/src/layout.rs', 'crates/node/examples', 'crates/core/src'],
    isThere: () => haveFiles(layoutFile),
    build: writeLayout,
    isCommitted: true,
  },
  {
    name: 'dist',
    title: 'dist/ (CommonJS, and ES modules over it)',
    sources: typeScriptSources,
    isThere: () => entries().every(({ output }) => haveFiles(`dist/${output}.js`, `dist/${output}.cjs`)),
    build: compileTypeScript,
  },
  {
    name: 'types',
    title: 'the types (roll-up)',
    sources: typeScriptSources,
    isThere: () =>
      haveFiles(...rolledUp.map(({ output }) => `${output}.d.ts`)) &&
      entries().every(({ output }) => haveFiles(`dist/${output}.d.ts`, `dist/${output}.d.cts`)),
    build: writeAllTypes,
  },
]

/**
 * Builds each output that is missing or was made from other sources.
 *
 * @param {{ log?: (line: string) => void, features?: string[] }} [options] `features`: Cargo features of the addon.
 */
export async function ensureBuild({ log = console.log, features = [] } = {}) {
  if (steps.every((step) => isFresh(step, fingerprintOf(step, features)))) return
  await exclusively(log, async () => {
    for (const step of steps) {
      // Taken before the build: a source that changes during the build leaves the step stale.
      const fingerprint = fingerprintOf(step, features)
      if (isFresh(step, fingerprint)) continue
      if (!(step.isCommitted && step.isThere() && readStamp()[step.name] === undefined)) {
        log(`Building ${step.title}`)
        await step.build(features, log)
      }
      await writeStamp({ ...readStamp(), [step.name]: fingerprint })
    }
  })
}

/**
 * Makes the generated files again, even if they are fresh.
 *
 * @param {{ log?: (line: string) => void }} [options]
 */
export async function regenerate({ log = console.log } = {}) {
  await exclusively(log, async () => {
    await buildAddon([], log)
    await writeLayout()
    await writeAllTypes()
  })
}

/** Formats generated text as prettier formats the file at `path`. */
export async function prettify(path, text) {
  // Not at load time: a fresh clone has no dependencies yet.
  const { format, resolveConfig } = await import('prettier')
  const file = join(root, path)
  return format(text, { ...(await resolveConfig(file)), filepath: file })
}

async function buildAddon(features, log) {
  const args = [...addonBuild, '--release']
  if (features.length > 0) args.push('--features', features.join(','))
  await requireRust()
  const progress = new CargoProgress(log)
  progress.begin()
  try {
    await run(toolPath('napi'), args, { onOutput: (text) => progress.take(text) })
  } finally {
    progress.end()
  }
}

/** Uses the addon's profile, so that cargo reuses the dependencies of the addon's build. */
async function writeLayout() {
  const args = ['run', '--quiet', '--release', '--package', 'cache-machine-node', '--example', 'layout']
  const { code, output } = await capture('cargo', args)
  if (code !== 0) throw new Error(`The generator of ${layoutFile} ended with ${code}\n${output.trimEnd()}`)
  await writeFile(join(root, layoutFile), await prettify(layoutFile, output))
}

async function requireRust() {
  const { code } = await capture('cargo', ['--version'])
  if (code === 0) return
  throw new Error(
    'Building cache-machine needs Rust: install a stable toolchain with rustup or from your distribution. ' +
      'The published package needs none: npm install cache-machine',
  )
}

async function writeAllTypes() {
  const texts = await writeTypes()
  for (const { output } of rolledUp) {
    const file = `${output}.d.ts`
    await writeFile(join(root, file), await prettify(file, texts[output]))
  }
}

function isFresh(step, fingerprint) {
  return step.isThere() && readStamp()[step.name] === fingerprint
}

function fingerprintOf(step, features) {
  const hash = createHash('sha256').update(`${process.platform}-${process.arch}`)
  if (step.build === buildAddon) hash.update(features.join())
  for (const file of step.sources.flatMap((path) => filesUnder(join(root, path)))) {
    hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file))
  }
  return hash.digest('hex')
}

/** All files of a folder in a stable order, except those that no build reads. */
function filesUnder(path) {
  const status = statSync(path, { throwIfNoEntry: false })
  if (status === undefined) return []
  if (!status.isDirectory()) return [path]
  const names = readdirSync(path).filter((name) => !['target', 'tests', 'benches', 'fuzz'].includes(name))
  return names.toSorted().flatMap((name) => filesUnder(join(path, name)))
}

function readStamp() {
  return readJson('native/.stamp') ?? {}
}

/** By renaming: an interrupted write must not leave a stamp that reads as a complete one. */
async function writeStamp(stamp) {
  await mkdir(join(root, 'native'), { recursive: true })
  await writeFile(`${stampFile}.next`, `${JSON.stringify(stamp, null, 2)}\n`)
  await rename(`${stampFile}.next`, stampFile)
}

function haveFiles(...paths) {
  return paths.every((path) => existsSync(join(root, path)))
}

function haveAddon() {
  return readdirSync(join(root, 'native')).some((name) => name.endsWith('.node'))
}
