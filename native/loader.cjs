/**
 * Loads the native addon: from the package of this platform, or in a clone from this folder. It never throws; where
 * there is no addon, `failure` says why, and `lib/native/unavailable.ts` says it in words.
 *
 * CommonJS, since Node 20 aborts the process if a thread is terminated while it requires an ES module.
 */
'use strict'

// A bundle in ES format has no `require`.
const { existsSync, readFileSync } = process.getBuiltinModule('node:fs')
const { createRequire } = process.getBuiltinModule('node:module')
const { basename, join } = process.getBuiltinModule('node:path')

/**
 * The packages with the binaries; `cause` for one that cannot be loaded. Each name is a literal, so that programs that
 * copy or trace dependencies find the package that is installed. Each stands in a `try` of its own: bundlers look for
 * that, and accept a package that is not installed.
 */
const packages = {
  'linux-x64-gnu': () => {
    try {
      return require('cache-machine-linux-x64-gnu')
    } catch (cause) {
      return { cause }
    }
  },
  'linux-x64-musl': () => {
    try {
      return require('cache-machine-linux-x64-musl')
    } catch (cause) {
      return { cause }
    }
  },
  'linux-arm64-gnu': () => {
    try {
      return require('cache-machine-linux-arm64-gnu')
    } catch (cause) {
      return { cause }
    }
  },
  'linux-arm64-musl': () => {
    try {
      return require('cache-machine-linux-arm64-musl')
    } catch (cause) {
      return { cause }
    }
  },
}

const { addon, failure } = load()
exports.addon = addon
exports.failure = failure
exports.ownVersion = ownVersion
exports.packageFile = (path) => ownFile(`../${path}`)

function load() {
  const chosen = process.env.CACHE_MACHINE_NATIVE
  if (chosen) return attempt({ file: chosen }, () => createRequire(chosen)(chosen))

  const libc = process.platform === 'linux' ? libcOfProcess() : undefined
  const target = [process.platform, process.arch, libc].filter(Boolean).join('-')
  if (!Object.hasOwn(packages, target)) return { failure: { reason: 'unsupported', target, libc } }
  const facts = { target, libc }

  const local = ownFile(`cache-machine.${target}.node`)
  if (local !== undefined && existsSync(local))
    return attempt({ ...facts, file: local }, () => createRequire(local)(local))

  const binary = packages[target]()
  if (binary.cause !== undefined) {
    const reason = isBundled() ? 'bundled' : 'missing'
    return { failure: { ...facts, reason, installed: installed(), cause: binary.cause } }
  }
  const version = ownVersion()
  if (version !== undefined && binary.version !== version) {
    return { failure: { ...facts, reason: 'version', versions: [version, binary.version] } }
  }
  return attempt(facts, () => binary.load())
}

function attempt(facts, start) {
  try {
    return { addon: start() }
  } catch (cause) {
    return { failure: { ...facts, reason: reasonOf(cause), cause } }
  }
}

function reasonOf({ code, message }) {
  if (code === 'ERR_DLOPEN_DISABLED') return process.permission === undefined ? 'no-addons' : 'permission'
  if (code === 'ERR_ACCESS_DENIED') return 'permission'
  if (/version `GLIBC_[\d.]+' not found/.test(message)) return 'old-glibc'
  return isBundled() ? 'bundled' : 'broken'
}

/** The platforms of which the package is there: an installation may have been made for another one. */
function installed() {
  return Object.keys(packages).filter((target) => packages[target]().cause === undefined)
}

/**
 * The C library that this process runs on. The machine may have another one as well: its `ldd` proves nothing.
 */
function libcOfProcess() {
  try {
    const loaded = readFileSync('/proc/self/maps', 'latin1')
    if (/\/(?:ld-musl-|libc\.musl-)/.test(loaded)) return 'musl'
    if (/\/libc(?:\.so\.6|-2\.\d+\.so)\s/.test(`${loaded}\n`)) return 'gnu'
  } catch {
    // There is no /proc, or the permission model forbids to read it.
  }
  const report = process.report?.getReport?.()
  return report?.header?.glibcVersionRuntime === undefined ? 'musl' : 'gnu'
}

/** The version of this package; undefined in a bundle. */
function ownVersion() {
  const manifest = ownFile('../package.json')
  return manifest === undefined ? undefined : JSON.parse(readFileSync(manifest, 'utf8')).version
}

/** A bundler puts this text into another file, where no path leads to the binary. */
function isBundled() {
  return ownFile('') === undefined
}

/** A file beside this one; undefined in a bundle, where both names may be missing, those of the bundle, or invented. */
function ownFile(name) {
  if (typeof __filename !== 'string' || typeof __dirname !== 'string') return undefined
  return basename(__filename) === 'loader.cjs' && existsSync(__filename) ? join(__dirname, name) : undefined
}
