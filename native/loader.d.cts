/** The findings of native/loader.cjs. Exactly one of the two is defined. */
import type * as types from './index.d.ts' with { 'resolution-mode': 'import' }

export const addon: typeof types | undefined
export const failure: LoadFailure | undefined
/** The version of this package; undefined in a bundle. */
export function ownVersion(): string | undefined
/** The path of a file of this package; undefined in a bundle. */
export function packageFile(path: string): string | undefined

/** Why there is no addon. */
export interface LoadFailure {
  /**
   * - `unsupported`: no package exists for this platform.
   * - `missing`: the package of this platform is not installed; `installed` names the platforms of others that are.
   * - `version`: the package of this platform has another version.
   * - `bundled`: a bundler took the JavaScript of this package into its output.
   * - `no-addons`, `permission`: Node was started with that flag.
   * - `old-glibc`: the glibc of the host is older than the addon needs.
   * - `broken`: anything else; see `cause`.
   */
  readonly reason:
    'unsupported' | 'missing' | 'version' | 'bundled' | 'no-addons' | 'permission' | 'old-glibc' | 'broken'
  /** Such as `linux-x64-gnu`; undefined if `CACHE_MACHINE_NATIVE` chose the file. */
  readonly target?: string
  readonly libc?: 'gnu' | 'musl' | undefined
  readonly installed?: readonly string[]
  /** Of this package, and of the package of this platform. */
  readonly versions?: readonly [string, string]
  /** The file that could not be loaded, if it was not that of a package. */
  readonly file?: string
  readonly cause?: unknown
}
