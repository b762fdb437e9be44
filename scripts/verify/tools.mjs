/**
 * `npm run test:tools`: the packages, as they are published, under the test runners, bundlers and loaders that users
 * have. The tools are installed into __test__/tools, from its lockfile.
 *
 *   npm run test:tools              all of them
 *   npm run test:tools -- webpack   those with this word in their title
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { platforms } from '../release/manifests.mjs'
import { stagePackages } from '../release/stage.mjs'
import { capture, ensureBuild, ensureDependencies, isMain, root, run } from '../setup.mjs'
import { add, failure, minutes, nothing, report, success } from './outcomes.mjs'
import { askServer } from './servers.mjs'
import { cases } from './tool-cases.mjs'
import { projects } from './tool-projects.mjs'

const tools = join(root, '__test__/tools')

/** For every step: no tool reports its use. */
const QUIET = { NEXT_TELEMETRY_DISABLED: '1' }

export async function runTools(word = '') {
  const isChosen = ({ title }) => title.includes(word)
  const outcomes = []
  if (cases.some(isChosen)) await installTools()
  for (const one of cases.filter(isChosen)) outcomes.push(await runCase(one))
  for (const project of projects.filter((one) => one.cases.some(isChosen))) {
    outcomes.push(await runProject({ ...project, cases: project.cases.filter(isChosen) }))
  }
  return outcomes.reduce(add, nothing)
}

async function installTools() {
  if (!existsSync(join(tools, 'node_modules/.package-lock.json'))) await npmInstall(tools)
  await installPackages(join(tools, 'node_modules'))
}

/** From the lockfile of the folder. */
export async function npmInstall(folder) {
  await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder })
}

/** The packages for this machine, as npm would install them. */
export async function installPackages(modules) {
  const built = ({ file }) => join(root, 'native', file)
  await stagePackages(modules, { binaryOf: (platform) => (existsSync(built(platform)) ? built(platform) : undefined) })
  for (const platform of platforms.filter((one) => !existsSync(built(one)))) {
    await rm(join(modules, platform.name), { recursive: true })
  }
}

/** In a copy of the fixtures beside the tools, where Node finds them. */
async function runCase(one) {
  const folder = join(tools, `run-${process.pid}`)
  try {
    await cp(join(tools, 'fixtures'), folder, { recursive: true })
    return await runSteps(one, folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** In a folder of its own: a bundler that finds the lockfile of a parent folder takes that for its project. */
async function runProject({ folder: name, sources, cases: chosen }) {
  const folder = await mkdtemp(join(tmpdir(), `cache-machine-${name}-`))
  try {
    for (const path of [name, sources].filter(Boolean)) {
      await cp(join(tools, 'projects', path), folder, { recursive: true })
    }
    await npmInstall(folder)
    await installPackages(join(folder, 'node_modules'))
    const outcomes = []
    for (const one of chosen) {
      for (const output of ['.next', 'dist']) await rm(join(folder, output), { recursive: true, force: true })
      outcomes.push(await runSteps(one, folder))
    }
    return outcomes.reduce(add, nothing)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function runSteps({ title, steps, prints }, folder) {
  const { segments } = await import('../../dist/index.js')
  const apart = await mkdtemp(join(tmpdir(), 'cache-machine-tools-'))
  const segment = `tools-${process.pid}`
  try {
    let last = ''
    for (const { command, env, asks } of steps) {
      const options = { cwd: folder, env: { ...QUIET, SEGMENT: segment, APART: apart, ...env }, timeout: 2 * minutes }
      if (asks !== undefined) {
        const problem = await askServer(command, asks, options)
        if (problem !== undefined) return fails(title, problem)
        continue
      }
      const [program, ...args] = command
      const { code, output } = await capture(program, args, options)
      if (code !== 0) return fails(title, `${command.join(' ')} ended with ${code}\n${output}`)
      last = output
    }
    if (prints !== undefined && !prints.test(last)) return fails(title, `printed ${last}, and not ${prints}`)
    console.log(`  ✔ ${title}`)
    return success
  } finally {
    segments.destroy(segment, { force: true })
    await rm(apart, { recursive: true, force: true })
  }
}

function fails(title, reason) {
  console.log(`  ✘ ${title}`)
  return failure(`${title}: ${reason}`)
}

if (isMain(import.meta.url)) {
  await ensureDependencies()
  await ensureBuild()
  report(await runTools(process.argv[2]))
}
