/**
 * The error for an addon that could not be loaded: what is wrong with the installation, and the line that repairs it.
 */
import { CacheError } from '../errors.ts'
import type { LoadFailure } from '#loader'

const PACKAGE = 'cache-machine'

/** The way out where the cache need not be shared. */
const WAY_OUT =
  "For development without the addon, pass engine: 'portable' or set CACHE_MACHINE_ENGINE=portable: each process then " +
  'has a cache of its own.'

/** The lines that keep a package out of a bundle. */
const EXTERNAL_LINES = [
  `esbuild: external: ['${PACKAGE}']`,
  `webpack: externals: { '${PACKAGE}': 'commonjs ${PACKAGE}' }`,
  `Rollup: external: ['${PACKAGE}']`,
  `Vite: ssr: { external: ['${PACKAGE}'] }`,
  `Next: serverExternalPackages: ['${PACKAGE}']`,
].join('; ')

/** A `CacheError` with the code `ERR_NATIVE_UNAVAILABLE`. */
export function nativeUnavailable(failure: LoadFailure): CacheError {
  const { problem, hint } = explain(failure)
  const libc = failure.libc === undefined ? '' : ` (${nameOf(failure.libc)})`
  const system = `${process.platform} ${process.arch}${libc}, Node ${process.versions.node}`
  return new CacheError('ERR_NATIVE_UNAVAILABLE', `the native addon could not be loaded on ${system}: ${problem}`, {
    hint: `${hint} ${WAY_OUT}`,
    ...(failure.cause !== undefined && { cause: failure.cause }),
  })
}

interface Explanation {
  readonly problem: string
  readonly hint: string
}

function explain(failure: LoadFailure): Explanation {
  const wanted = `${PACKAGE}-${failure.target}`
  switch (failure.reason) {
    case 'unsupported':
      return {
        problem: `there is no binary for ${failure.target}`,
        hint: 'Run on Linux, x64 or arm64, with glibc or musl; on another system in a container or a virtual machine.',
      }
    case 'missing':
      return explainMissing(failure, wanted)
    case 'version': {
      const [own, theirs] = failure.versions ?? []
      return {
        problem: `${PACKAGE} ${own} is installed with ${wanted} ${theirs}`,
        hint: `Install again, without an override of ${wanted}: both packages have the same version.`,
      }
    }
    case 'bundled':
      return {
        problem: 'a bundler took the package into its output, where it does not find its binary',
        hint: `Keep ${PACKAGE} out of the bundle. ${EXTERNAL_LINES}.`,
      }
    case 'no-addons':
      return {
        problem: 'Node was started with --no-addons',
        hint: 'Start Node without --no-addons.',
      }
    case 'permission':
      return {
        problem: 'Node was started with --permission, which forbids native addons',
        hint: 'Start Node with --allow-addons as well, and with --allow-fs-read for the folder of the program.',
      }
    case 'old-glibc':
      return {
        problem: 'the glibc of this system is older than 2.28',
        hint: 'Use a system of 2018 or later (Debian 10, Ubuntu 18.10, RHEL 8), or an image with musl.',
      }
    case 'broken':
      return {
        problem: `${failure.file ?? wanted} was refused (${messageOf(failure.cause)})`,
        hint: `Install again (delete node_modules first). If that does not help, report the message.`,
      }
  }
}

function explainMissing({ installed = [], libc }: LoadFailure, wanted: string): Explanation {
  const others = installed.filter((target) => `${PACKAGE}-${target}` !== wanted)
  if (others.length === 0) {
    return {
      problem: `the package ${wanted} is not installed`,
      hint:
        'Install without --omit=optional (yarn: --ignore-optional; pnpm: --no-optional). If the lockfile was written ' +
        `by an older npm on another platform, delete it and node_modules, and install again.`,
    }
  }
  const isOtherLibc = others.some((target) => target.startsWith(`${process.platform}-${process.arch}-`))
  const names = others.map((target) => `${PACKAGE}-${target}`).join(', ')
  return {
    problem: `${names} is installed, but this process needs ${wanted}`,
    hint: isOtherLibc
      ? `The packages were installed for another C library than ${nameOf(libc)}. Install where the program runs, ` +
        'inside the image.'
      : 'The packages were installed for another processor. Install where the program runs, inside the image.',
  }
}

function nameOf(libc: LoadFailure['libc']): string {
  return libc === 'gnu' ? 'glibc' : 'musl'
}

function messageOf(cause: unknown): string {
  return String((cause as Error | undefined)?.message ?? cause)
}
