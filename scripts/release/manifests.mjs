/**
 * The packages that are published: `cache-machine`, and one package with a binary for each platform. Their manifests are
 * made from package.json, so that the versions stay in step.
 */
import { readJson } from '../setup/repository.mjs'

const own = readJson('package.json')

/** The fields of package.json that are for the repository only. */
const PRIVATE_FIELDS = ['scripts', 'devDependencies', 'overrides', 'napi', 'files', 'imports']

/** Parts of a Rust target, as npm, Node and the file names write them. */
const CPUS = { x86_64: 'x64', aarch64: 'arm64' }
const LIBCS = { gnu: 'glibc', musl: 'musl' }

/**
 * @typedef {{ id: string, name: string, file: string, rust: string, cpu: string, libc: string }} Platform
 * `id`: such as `linux-x64-gnu`. `file`: the name of the binary. `rust`: the target. `cpu` and `libc`: as npm writes them.
 * @type {Platform[]}
 */
export const platforms = own.napi.targets.map((rust) => {
  const [arch, , system, abi] = rust.split('-')
  const id = `${system}-${CPUS[arch]}-${abi}`
  return { id, name: `${own.name}-${id}`, file: `${own.name}.${id}.node`, rust, cpu: CPUS[arch], libc: LIBCS[abi] }
})

/** The manifest of `cache-machine` as it is published. */
export function mainManifest(version = own.version) {
  const kept = Object.entries(own).filter(([field]) => !PRIVATE_FIELDS.includes(field))
  return {
    ...Object.fromEntries(kept),
    version,
    imports: { '#loader': own.imports['#loader'] },
    optionalDependencies: Object.fromEntries(platforms.map(({ name }) => [name, version])),
  }
}

/** The committed files of a platform's package, by their names. `LICENSE` and the binary are added when it is staged. */
export function platformFiles({ id, name, file, cpu, libc }, version = own.version) {
  const { description, license, author, repository, engines } = own
  const manifest = {
    name,
    version,
    description: `${description}. The binary for ${id}`,
    license,
    author,
    ...(repository !== undefined && { repository: { ...repository, directory: `npm/${id}` } }),
    engines,
    os: ['linux'],
    cpu: [cpu],
    libc: [libc],
    type: 'commonjs',
    main: './index.js',
    files: ['index.js', file],
  }
  return {
    'package.json': `${JSON.stringify(manifest, null, 2)}\n`,
    'README.md': `# \`${name}\`\n\nThe binary of \`${own.name}\` for Linux, ${cpu}, ${libc}. Install \`${own.name}\`, which selects it.\n`,
    'index.js': `'use strict'

const { statSync } = require('node:fs')
const { createRequire } = require('node:module')
const { join } = require('node:path')

exports.version = '${version}'
exports.load = () => {
  const file = join(__dirname, '${file}')
  // Turbopack copies a file that is read, and finds its name in no other place.
  statSync(join(__dirname, '${file}'))
  return createRequire(file)(file)
}
`,
  }
}
