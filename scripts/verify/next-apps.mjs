/**
 * The applications of Next for `cache-machine/next`: installs, builds and serves them, from __test__/tools/projects.
 * `__test__/adapters/next-app.spec.ts` and `next-components.spec.ts` ask the servers.
 *
 * The variable `NEXT_VERSION` names another version of Next than that of the lockfile.
 *
 * A build takes about 20 seconds of processor time, most of it in the compiler.
 */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { capture, readText, root, run } from '../setup.mjs'
import { freePorts } from '../story/ports.mjs'
import { minutes } from './outcomes.mjs'
import { installPackages, npmInstall } from './tools.mjs'

/**
 * By name: the project with the lockfile of the version, the one with the application, and the flags of the build.
 * `next-components` gets its configuration and its handlers from the guide.
 */
export const variants = {
  'next-16': { versions: 'next-16', sources: 'next-cache', flags: [] },
  'next-16-webpack': { versions: 'next-16', sources: 'next-cache', flags: ['--webpack'] },
  'next-16-components': { versions: 'next-16', sources: 'next-components', flags: [] },
  'next-15': { versions: 'next-15', sources: 'next-cache', flags: [] },
  'next-15-turbopack': { versions: 'next-15', sources: 'next-cache', flags: ['--turbopack'] },
}

/** AVA has set another NODE_ENV, which Next does not expect. */
const QUIET = { NEXT_TELEMETRY_DISABLED: '1', NODE_OPTIONS: '', NODE_ENV: 'production' }

/** The files of the guide, with the name of the segment in the place of that of the example. */
async function writeGuideFiles(folder) {
  const guide = readText('docs/guides/next.md')
  const files = [...guide.matchAll(/^```mjs\n\/\/ (\S+)\n([\s\S]*?)^```$/gm)]
  if (files.length !== 3) throw new Error(`docs/guides/next.md has ${files.length} files, and not 3`)
  for (const [, name, text] of files) {
    await writeFile(join(folder, name), text.replace("name: 'shop'", 'name: process.env.SEGMENT'))
  }
}

/** An installed application in a folder of its own. `remove` deletes it. */
export async function installApp({ versions, sources }) {
  const folder = await mkdtemp(join(tmpdir(), 'cache-machine-next-'))
  const remove = () => rm(folder, { recursive: true, force: true })
  try {
    for (const part of [versions, sources]) {
      await cp(join(root, '__test__/tools/projects', part), join(folder, 'app'), { recursive: true })
    }
    if (sources === 'next-components') await writeGuideFiles(join(folder, 'app'))
    await npmInstall(join(folder, 'app'))
    const other = process.env.NEXT_VERSION
    const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
    if (other !== undefined) await run('npm', ['install', ...flags, `next@${other}`], { cwd: join(folder, 'app') })
    await installPackages(join(folder, 'app/node_modules'))
    return { folder, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** Builds an application; returns the folder of its standalone server, which is apart from that of the application. */
export async function buildApp(folder, { flags }, name, env) {
  const app = join(folder, 'app')
  await run(process.execPath, ['node_modules/next/dist/bin/next', 'build', ...flags], {
    cwd: app,
    env: { ...QUIET, ...env },
    timeout: 10 * minutes,
  })
  await cp(join(app, '.next/standalone'), join(folder, name), { recursive: true })
  return join(folder, name)
}

/** Checks __test__/tools/projects/next-types against the types of the installed Next; returns what the compiler says. */
export async function checkAppTypes(folder) {
  const modules = join(root, 'node_modules')
  await cp(join(root, '__test__/tools/projects/next-types/types.ts'), join(folder, 'app/types.ts'))
  const flags = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2023']
  const types = ['--typeRoots', join(modules, '@types'), '--types', 'node']
  const args = [join(modules, 'typescript/bin/tsc'), ...flags, ...types, 'types.ts']
  const { output } = await capture(process.execPath, args, { cwd: join(folder, 'app'), timeout: 5 * minutes })
  return output
}

/**
 * Starts a standalone server on loopback, and resolves when it listens.
 *
 * @param {string} folder
 * @param {Record<string, string>} env
 * @returns {Promise<{ url: string, output: () => string, end: () => Promise<void> }>}
 */
export async function serveApp(folder, env) {
  const [port] = await freePorts(1)
  const ending = new AbortController()
  let output = ''
  let hasEnded = false
  const served = capture(process.execPath, ['server.js'], {
    cwd: folder,
    env: { ...QUIET, ...env, PORT: String(port), HOSTNAME: '127.0.0.1' },
    signal: ending.signal,
    timeout: 10 * minutes,
    onOutput: (text) => (output += text),
  })
  void served.then(() => (hasEnded = true))
  const end = async () => {
    ending.abort()
    await served
  }
  while (!/Ready in/.test(output)) {
    if (hasEnded) throw new Error(`the server in ${folder} ended\n${output}`)
    await sleep(20)
  }
  return { url: `http://127.0.0.1:${port}`, output: () => output, end }
}

/**
 * The service that the pages ask: counts how often each path was asked for, and answers the count.
 *
 * @returns {Promise<{ url: string, countOf: (path: string) => number, close: () => void }>}
 */
export async function countingService() {
  const counts = new Map()
  const server = createServer(({ url = '' }, response) => {
    counts.set(url, (counts.get(url) ?? 0) + 1)
    response.end(String(counts.get(url)))
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    countOf: (path) => counts.get(`/${path}`) ?? 0,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
