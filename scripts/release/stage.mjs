/**
 * Puts the packages into folders as they are published.
 */
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { root } from '../setup/repository.mjs'
import { mainManifest, platformFiles, platforms } from './manifests.mjs'

/** What `cache-machine` has beside its manifest. npm adds none of it by itself, since the manifest has no `files`. */
const MAIN_FILES = ['README.md', 'CHANGELOG.md', 'LICENSE', 'dist', 'native/loader.cjs']

/**
 * Stages all packages in `folder`; returns their folders, those of the platforms first.
 *
 * @param {string} folder
 * @param {{ binaryOf: (platform: import('./manifests.mjs').Platform) => string | undefined, version?: string }} options
 *   `binaryOf`: the file of a platform's binary. Without one, the package gets a placeholder, which cannot be loaded.
 */
export async function stagePackages(folder, { binaryOf, version }) {
  const folders = []
  for (const platform of platforms) {
    const to = join(folder, platform.name)
    await mkdir(to, { recursive: true })
    const files = platformFiles(platform, version)
    for (const [name, text] of Object.entries(files)) await writeFile(join(to, name), text)
    await cp(join(root, 'LICENSE'), join(to, 'LICENSE'))
    const binary = binaryOf(platform)
    if (binary === undefined) await writeFile(join(to, platform.file), `A placeholder for ${platform.id}.\n`)
    else await cp(binary, join(to, platform.file))
    folders.push(to)
  }
  folders.push(await stageMain(folder, version))
  return folders
}

async function stageMain(folder, version) {
  const manifest = mainManifest(version)
  const to = join(folder, manifest.name)
  await mkdir(to, { recursive: true })
  for (const path of MAIN_FILES) await cp(join(root, path), join(to, path), { recursive: true })
  await writeFile(join(to, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  return to
}
