/**
 * The files of the page: HTML, styles, scripts, and uPlot. The build puts them into dist/. Only these are served.
 */
import { readFileSync } from 'node:fs'
import { packageFile } from '#loader'
import { CacheError } from '../errors.ts'

const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

/** A file of the page. */
export interface Asset {
  readonly type: string
  readonly content: Buffer
}

const loaded = new Map<string, Asset>()

/** A file by its path below page/; undefined: there is none. */
export function assetOf(path: string): Asset | undefined {
  const known = loaded.get(path)
  if (known !== undefined) return known
  const [, extension] = /^[a-z-]+(?:\/[a-zA-Z.-]+)?\.(html|css|js|svg)$/.exec(path) ?? []
  if (extension === undefined || path.includes('..')) return undefined
  const content = read(path)
  if (content === undefined) return undefined
  const asset = { type: TYPES[extension] ?? '', content }
  loaded.set(path, asset)
  return asset
}

function read(path: string): Buffer | undefined {
  try {
    const file = packageFile(`dist/lib/dashboard/page/${path}`)
    if (file === undefined) throw new Error('cache-machine is in a bundle')
    return readFileSync(file)
  } catch (cause) {
    if (path !== 'index.html') return undefined
    const hint = 'Keep the package out of the bundle, for instance with serverExternalPackages: ["cache-machine"].'
    throw new CacheError('ERR_NATIVE_UNAVAILABLE', 'the files of the dashboard are missing', { hint, cause })
  }
}
