/**
 * Checks of a binary before it is published: it is one, for its platform, and loads on every system that is promised.
 */
import { existsSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'

/** The newest glibc that a binary may need: that of Debian 10, Ubuntu 18.10 and RHEL 8. */
export const MAX_GLIBC = '2.28'

/** In the header of an ELF file. */
const MACHINES = { x64: 62, arm64: 183 }

/**
 * The problems of a binary, as sentences.
 *
 * @param {string} file
 * @param {import('./manifests.mjs').Platform} platform
 */
export function problemsOf(file, { id, cpu, libc }) {
  const name = basename(file)
  if (!existsSync(file)) return [`${name} is missing`]
  const bytes = readFileSync(file)
  if (bytes.toString('latin1', 0, 4) !== '\x7fELF') return [`${name} is a placeholder, or no binary`]
  const text = bytes.toString('latin1')
  const problems = []
  if (bytes.readUInt16LE(18) !== MACHINES[cpu]) problems.push(`${name} is for another processor than ${id}`)
  if (!text.includes('napi_register_module_v1')) problems.push(`${name} is no addon for Node.js`)
  const needed = neededGlibc(text)
  if (libc === 'musl' && needed !== undefined) problems.push(`${name} needs glibc, and is for musl`)
  if (libc === 'glibc' && needed === undefined) problems.push(`${name} needs no glibc, and is for glibc`)
  if (libc === 'glibc' && needed !== undefined && isNewer(needed, MAX_GLIBC)) {
    problems.push(`${name} needs glibc ${needed}, and may need at most ${MAX_GLIBC}: link it with zig`)
  }
  return problems
}

/** The newest version among those that the symbols of a binary name. */
export function neededGlibc(text) {
  const versions = [...text.matchAll(/GLIBC_(2\.\d+(?:\.\d+)?)\0/g)].map(([, version]) => version)
  return versions.reduce((newest, version) => (newest && !isNewer(version, newest) ? newest : version), undefined)
}

function isNewer(a, b) {
  const [x, y] = [a, b].map((version) => Number(version.split('.')[1]))
  return x > y
}
