/**
 * Builds the addon for other platforms than this machine's, without changing the system.
 *
 * The linker is zig, a Python wheel: it has the headers and libraries of every target, and sets the oldest glibc that
 * the addon needs. The compiler is rustup's if the target is installed there. Otherwise it is Debian's `rustc-web`,
 * unpacked into the folder of the tools. It has the sources of the standard library, for any target.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MAX_GLIBC } from './binaries.mjs'
import { once } from '../setup/once.mjs'
import { capture, run } from '../setup/processes.mjs'
import { root } from '../setup/repository.mjs'

const zigVersion = '0.16.0'

/**
 * Builds the addon of a platform.
 *
 * @param {import('./manifests.mjs').Platform} platform
 * @returns {Promise<{ file: string, warnings: number }>} `file`: its path, in target/platforms/.
 */
export async function buildAddonFor({ file, rust, libc }) {
  const target = join(root, 'target/platforms')
  const variable = `CARGO_TARGET_${rust.toUpperCase().replaceAll('-', '_')}`
  const { cargo, flags, env } = await compilerFor(rust)
  env.CARGO_TARGET_DIR = target
  env[`${variable}_LINKER`] = await linkerFor(rust, libc)
  // An addon cannot be linked with the C library inside.
  if (libc === 'musl') env[`${variable}_RUSTFLAGS`] = '-C target-feature=-crt-static'
  const args = ['build', ...flags, '--locked', '--release', '-p', 'cache-machine-node', '--target', rust]
  const { code, output } = await capture(cargo, args, { env })
  if (code !== 0) throw new Error(`cargo ended with ${code} for ${rust}\n${output}`)
  copyFileSync(join(target, rust, 'release/libcache_machine_node.so'), join(target, file))
  return { file: join(target, file), warnings: (output.match(/^warning:/gm) ?? []).length }
}

/** The cargo, the flags and the environment with which a target is built. */
async function compilerFor(rust) {
  const { output } = await capture('rustup', ['target', 'list', '--installed'])
  if (output.split('\n').includes(rust)) return { cargo: 'cargo', flags: [], env: {} }
  const folder = await debianRust()
  const env = { RUSTC: join(folder, 'rustc'), RUSTDOC: join(folder, 'rustdoc') }
  if (existsSync(join(folder, 'usr/lib/rustlib', rust))) return { cargo: join(folder, 'cargo'), flags: [], env }
  env.RUSTC_BOOTSTRAP = '1'
  return { cargo: join(folder, 'cargo'), flags: ['-Zbuild-std=std,panic_unwind'], env }
}

/** A script that links for a target. */
async function linkerFor(rust, libc) {
  const [arch, , system, abi] = rust.split('-')
  const zig = `${arch}-${system}-${abi}${libc === 'glibc' ? `.${MAX_GLIBC}` : ''}`
  const folder = await once(`ziglang-${zigVersion}`, async (next) => {
    await run('pip', ['download', '--quiet', '--no-deps', '--dest', next, `ziglang==${zigVersion}`])
    const [wheel] = readdirSync(next)
    await run('python3', ['-m', 'zipfile', '-e', join(next, wheel), next])
    chmodSync(join(next, 'ziglang/zig'), 0o755)
  })
  const script = join(folder, `link-${zig}`)
  writeFileSync(script, `#!/bin/sh\nexec ${join(folder, 'ziglang/zig')} cc -target ${zig} "$@"\n`)
  chmodSync(script, 0o755)
  return script
}

/** Debian's packages of a Rust compiler with its sources, and of the standard library of arm64. */
const rustPackages = [
  'rustc-web cargo-web rust-web-src libstd-rust-web-dev libstd-rust-web-1.96 libllvm22',
  'libgit2-1.5 libhttp-parser2.9 libmbedcrypto7 libmbedx509-1 libmbedtls14',
  'libstd-rust-web-dev:arm64 libstd-rust-web-1.96:arm64',
].flatMap((line) => line.split(' '))

async function debianRust() {
  const folder = await debianPackages('rust-web', rustPackages)
  const library = join(folder, 'usr/lib/x86_64-linux-gnu')
  for (const program of ['rustc', 'rustdoc', 'cargo']) {
    const script = join(folder, program)
    writeFileSync(script, `#!/bin/sh\nLD_LIBRARY_PATH=${library} exec ${join(folder, 'usr/bin', program)} "$@"\n`)
    chmodSync(script, 0o755)
  }
  return folder
}

/**
 * The content of Debian packages, unpacked and not installed. apt gets a state of its own, which knows arm64 too.
 *
 * @returns {Promise<string>} the folder.
 */
export function debianPackages(name, packages) {
  return once(name, async (next) => {
    const state = join(next, 'apt')
    for (const part of ['state/lists/partial', 'cache/archives/partial', 'debs']) {
      mkdirSync(join(state, part), { recursive: true })
    }
    copyFileSync('/var/lib/dpkg/status', join(state, 'state/status'))
    const config = join(state, 'apt.conf')
    writeFileSync(
      config,
      `APT::Architecture "amd64"; APT::Architectures { "amd64"; "arm64"; };
Dir::State "${state}/state"; Dir::State::status "${state}/state/status"; Dir::Cache "${state}/cache";
`,
    )
    const env = { APT_CONFIG: config }
    await must(await capture('apt-get', ['update', '-qq'], { env }))
    await must(await capture('apt-get', ['download', '-qq', ...packages], { env, cwd: join(state, 'debs') }))
    for (const archive of readdirSync(join(state, 'debs'))) {
      await run('dpkg', ['-x', join(state, 'debs', archive), next])
    }
  })
}

function must({ code, output }) {
  if (code !== 0) throw new Error(`apt-get ended with ${code}\n${output}`)
}
