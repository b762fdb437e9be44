/**
 * JavaScript runtimes beside that of the machine: Node.js versions, Bun and Deno.
 *
 * They come from the npm registry, at exact versions, and stay outside the repository, in the user's cache folder or in
 * `CACHE_MACHINE_TOOLS`. npm checks the hash of each download.
 */
import { readdirSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { once } from './once.mjs'
import { run } from './processes.mjs'

/** The newest version of each major version of Node.js that the package supports. */
export const nodeVersions = { 20: '20.20.2', 22: '22.23.5', 24: '24.22.3', 26: '26.12.1' }

const packages = {
  bun: {
    name: `@oven/bun-linux-${{ x64: 'x64', arm64: 'aarch64' }[process.arch]}`,
    version: '1.4.5',
    program: 'bin/bun',
  },
  deno: { name: `@deno/linux-${process.arch}-glibc`, version: '2.9.6', program: 'deno' },
}

/** The folder with the program `node` of a major version; downloads it once. */
export async function nodeFolder(major) {
  const version = nodeVersions[major]
  if (version === undefined) throw new Error(`No Node.js ${major}: there are ${Object.keys(nodeVersions).join(', ')}`)
  return join(await npmPackage(`node-linux-${process.arch}`, version), 'bin')
}

/** The path of the program `bun` or `deno`; downloads it once. */
export async function runtimeProgram(runtime) {
  const { name, version, program } = packages[runtime]
  return join(await npmPackage(name, version), program)
}

/** Makes every program that this process starts from now on find this Node.js version first. */
export async function useNode(major) {
  process.env.PATH = `${await nodeFolder(major)}${delimiter}${process.env.PATH}`
}

/** The unpacked content of an npm package. */
export async function npmPackage(name, version) {
  const folder = await once(`${name.replace(/^@/, '').replace('/', '-')}-${version}`, async (next) => {
    await run('npm', ['pack', `${name}@${version}`, '--pack-destination', next, '--silent'])
    const [archive] = readdirSync(next)
    await run('tar', ['-xzf', join(next, archive), '-C', next])
    rmSync(join(next, archive))
  })
  return join(folder, 'package')
}
