/**
 * `npm run test:hosts -- HOST DIR`: the suite of a host itself, against our adapter. DIR is a checkout of the host's
 * repository; it is read, and never changed. A suite that the npm registry has needs no DIR. docs/hosts.md records the
 * counts.
 *
 *   npm run test:hosts                    lists the hosts
 *   npm run test:hosts -- keyv ../keyv    runs the suite of Keyv 6
 *   npm run test:hosts -- keyv5 --with keyv@5.5.4    with another version of a dependency
 *
 * `hosts/<host>.mjs` says how: its default export is a `Host`. The suite runs in a folder of its own outside the
 * repository, with the packages as they are published. Its segments have names that begin with the variable `SEGMENTS`,
 * and all of them are destroyed after the run: runners kill their workers.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { platforms } from '../release/manifests.mjs'
import { stagePackages } from '../release/stage.mjs'
import { capture, ensureBuild, ensureDependencies, isMain, root, run } from '../setup.mjs'
import { nodeFolder } from '../setup/runtimes.mjs'
import { failure, minutes, nothing, report } from './outcomes.mjs'

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{
 *   repository?: string,
 *   node?: 22 | 24 | 26,
 *   dependencies: Record<string, string>,
 *   files: (checkout: string | undefined) => Promise<Record<string, string>> | Record<string, string>,
 *   command: string[],
 *   env?: Record<string, string>,
 *   countsOf: (output: string, folder: string) => Counts,
 * }} Host
 * `repository`: of the checkout; without one no checkout is needed. `node`: the major version, if the host asks for a
 * newer one than this package. `dependencies`: installed from the registry, at exact versions. `files`: what the folder
 * has, text by path, taken from the checkout or written for it. `command`: runs in the folder; a program of
 * node_modules/.bin is found. `env`: variables for it. `countsOf`: reads its output.
 */

/** The names of the hosts. */
export function hostNames() {
  const files = readdirSync(join(root, 'scripts/verify/hosts')).filter((file) => file.endsWith('.mjs'))
  return files.map((file) => file.slice(0, -'.mjs'.length)).toSorted()
}

/** Runs the suite of a host; returns its outcome. `versions`: dependencies at other versions. */
export async function runHost(name, directory, versions = {}) {
  /** @type {{ default: Host }} */
  const { default: own } = await import(`./hosts/${name}.mjs`)
  const host = { ...own, dependencies: { ...own.dependencies, ...versions } }
  if (host.repository !== undefined && !existsSync(directory ?? '')) {
    return failure(`${name} needs the folder of a checkout of ${host.repository}`)
  }
  const folder = mkdtempSync(join(tmpdir(), `cache-machine-${name}-`))
  // A name has at most 64 characters.
  const segmentPrefix = `host-${folder.slice(-6)}-`
  try {
    await prepare(folder, host, directory === undefined ? undefined : resolve(directory))
    const [program, ...args] = host.command
    const programs = [join(folder, 'node_modules/.bin')]
    if (host.node !== undefined && Number.parseInt(process.versions.node, 10) < host.node) {
      programs.push(await nodeFolder(host.node))
    }
    const env = {
      ...host.env,
      NODE_OPTIONS: '',
      SEGMENTS: segmentPrefix,
      PATH: [...programs, process.env.PATH].join(delimiter),
    }
    const { code, output } = await capture(program, args, { cwd: folder, env, timeout: 30 * minutes })
    return outcomeOf(host.countsOf(output, folder), code, output)
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await destroySegments(segmentPrefix)
  }
}

async function destroySegments(prefix) {
  const { segments } = await import('../../dist/index.js')
  for (const { name } of segments.list().filter((segment) => segment.name.startsWith(prefix))) {
    segments.destroy(name, { force: true })
  }
}

async function prepare(folder, host, checkout) {
  const manifest = { name: 'host', private: true, type: 'module', dependencies: host.dependencies }
  const files = { 'package.json': JSON.stringify(manifest), ...(await host.files(checkout)) }
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--legacy-peer-deps']
  await run('npm', ['install', ...flags], { cwd: folder })
  const built = ({ file }) => join(root, 'native', file)
  const binaryOf = (platform) => (existsSync(built(platform)) ? built(platform) : undefined)
  await stagePackages(join(folder, 'node_modules'), { binaryOf })
  for (const platform of platforms.filter((one) => !existsSync(built(one)))) {
    rmSync(join(folder, 'node_modules', platform.name), { recursive: true })
  }
}

function outcomeOf({ passed, failed, skipped }, code, output) {
  const names = Array.from({ length: skipped }, (_, i) => `test ${i + 1} that the suite itself skips`)
  if (code === 0 && failed === 0) return { ...nothing, passed, skipped: names }
  return { passed, failed: Math.max(failed, 1), skipped: names, output: `${output}\nThe suite ended with ${code}` }
}

if (isMain(import.meta.url)) {
  const options = { with: { type: 'string', multiple: true, default: [] } }
  const { positionals, values } = parseArgs({ options, allowPositionals: true })
  const [name, directory] = positionals
  const versions = Object.fromEntries(
    values.with.map((one) => [one.replace(/(.)@[^@]+$/, '$1'), one.replace(/^.+@/, '')]),
  )
  if (name === undefined || !hostNames().includes(name)) {
    console.log(`npm run test:hosts -- HOST DIR; the hosts are ${hostNames().join(', ')}`)
    process.exitCode = 1
  } else {
    await ensureDependencies()
    await ensureBuild()
    report(await runHost(name, directory, versions))
  }
}
