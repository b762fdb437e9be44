/**
 * The package as a later version would be: it differs only in the version of the layout, and in a key at which it
 * panics. No released version is known to panic.
 *
 * It is built in `target/`, where a later run finds most of it again. Caution: a file that is written again is compiled
 * again, so only files that differ are written.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { KEY_SOURCE, LAYOUT_VERSION_SOURCE, root } from './internals.ts'

const constant = /(?<=pub const LAYOUT_VERSION: u32 = )\d+/

/** Any key with this end. */
export const panicking = 'a panic, please'
const changes: Record<string, (text: string) => string> = {
  [LAYOUT_VERSION_SOURCE]: (text) => text.replace(constant, (version) => `${Number(version) + 1}`),
  [KEY_SOURCE]: (text) =>
    text.replace('if !is_possible_len(', `assert!(!bytes.ends_with(b"${panicking}"), "as asked");\n$&`),
}

/** The version of the layout in the sources. */
export function layoutVersion(): number {
  return Number(constant.exec(readFileSync(join(root, LAYOUT_VERSION_SOURCE), 'utf8'))?.[0])
}

/** Installs a package in `folder`, with an addon of the present layout or of the next one. */
export function installPackage(folder: string, addon: string): void {
  for (const part of ['package.json', 'dist', 'native/loader.cjs'])
    cpSync(join(root, part), join(folder, part), { recursive: true })
  copyFileSync(addon, join(folder, 'native', addonName))
}

export const addonName = `cache-machine.linux-${process.arch}-gnu.node`

/** Builds the addon of the next layout. Returns its path. */
export async function buildNextAddon(): Promise<string> {
  const folder = join(root, 'target/next-layout')
  const run = promisify(execFile)
  const listing = await run('git', ['ls-files', '--', 'crates', 'Cargo.toml', 'Cargo.lock'], { cwd: root })
  for (const file of listing.stdout.split('\n').filter((name) => name !== '')) {
    const text = readFileSync(join(root, file), 'utf8')
    const changed = changes[file]?.(text) ?? text
    if (file in changes && changed === text) throw new Error(`nothing to change in ${file}`)
    update(join(folder, file), changed)
  }
  const target = join(folder, 'target')
  const env = { ...process.env, CARGO_TARGET_DIR: target }
  await run('cargo', ['build', '--quiet', '--package', 'cache-machine-node'], { cwd: folder, env })
  return join(target, 'debug/libcache_machine_node.so')
}

function update(path: string, text: string): void {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
}
