/**
 * The pages and routes that `next build` has written, as Next itself reads them. They serve until the first one is
 * rendered at run time, so a new build does not begin with an empty cache.
 */
import { existsSync, readFileSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import type { CacheControl, CachedValue, GetContext } from './next-types.ts'

export interface Prerendered {
  readonly value: CachedValue
  readonly control: CacheControl | undefined
  /** Epoch milliseconds. */
  readonly lastModified: number
}

interface Meta {
  readonly headers?: Record<string, unknown>
  readonly status?: number
  readonly postponed?: string
  readonly segmentPaths?: string[]
  readonly cacheControl?: CacheControl
  readonly routeCacheLastModified?: number
  readonly routeCache?: { readonly key: string; readonly isFallback: boolean }
}

/** Since 16.3, keys name the route as well: `/route-cache/APP_PAGE/<digest>/$/posts/1`. */
const ROUTE_CACHE = '/route-cache/'
const PATH_MARK = '/$/'

/** The id of the build in the folder `.next/server`. */
export function buildIdOf(serverDistDir: string): string | undefined {
  try {
    return readFileSync(join(serverDistDir, '..', 'BUILD_ID'), 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Whether the build has a file for a key, of whatever route. */
export function isPrerendered(serverDistDir: string, key: string): boolean {
  const path = pathOf(key)
  return ['app', 'pages'].some((folder) => {
    const file = fileIn(serverDistDir, folder, path)
    return file !== undefined && ['.html', '.body'].some((suffix) => existsSync(`${file}${suffix}`))
  })
}

/** What the build has for a key; undefined if it has nothing, or something else than was asked for. */
export async function prerendered(dir: string, key: string, context: GetContext): Promise<Prerendered | undefined> {
  const { kind, isFallback = false, isRoutePPREnabled = false } = context
  if (kind !== 'APP_PAGE' && kind !== 'APP_ROUTE' && kind !== 'PAGES') return undefined
  const file = fileIn(dir, kind === 'PAGES' ? 'pages' : 'app', pathOf(key))
  if (file === undefined) return undefined
  try {
    const main = `${file}${kind === 'APP_ROUTE' ? '.body' : '.html'}`
    // Versions before 16.3 write none for the pages router.
    const metaOf =
      kind === 'PAGES' ? readFile(`${file}.meta`, 'utf8').catch(() => '{}') : readFile(`${file}.meta`, 'utf8')
    const [body, { mtimeMs }, metaText] = await Promise.all([readFile(main), stat(main), metaOf])
    const meta = JSON.parse(metaText) as Meta
    if (!isOfRoute(meta, key, kind, isFallback, isRoutePPREnabled)) return undefined
    const { headers, status, postponed } = meta
    const common = { headers, status }
    const lastModified = meta.routeCacheLastModified ?? Math.floor(mtimeMs)
    const found = (value: CachedValue): Prerendered => ({ value, control: meta.cacheControl, lastModified })
    if (kind === 'APP_ROUTE') return found({ kind, body, ...common })
    const html = body.toString()
    if (kind === 'PAGES') {
      const pageData = isFallback ? {} : (JSON.parse(await readFile(`${file}.json`, 'utf8')) as unknown)
      return found({ kind, html, pageData, ...common })
    }
    const rscData = isFallback ? undefined : await rscOf(file, isRoutePPREnabled, postponed)
    const segmentData = meta.segmentPaths && (await segmentsOf(file, meta.segmentPaths))
    return found({ kind, html, rscData, postponed, segmentData, ...common })
  } catch {
    return undefined
  }
}

/** Next checks the same: two routes may have pages of one path. */
function isOfRoute(meta: Meta, key: string, kind: string, isFallback: boolean, isPPR: boolean): boolean {
  if (!key.startsWith(ROUTE_CACHE)) return true
  const { routeCache, postponed } = meta
  if (routeCache?.key !== key) return false
  return routeCache.isFallback === isFallback || (kind === 'APP_PAGE' && isPPR && postponed !== undefined)
}

/** Next 15 has prefetches of pages with partial prerendering in files of their own. */
async function rscOf(file: string, isPPR: boolean, postponed: string | undefined): Promise<Buffer | undefined> {
  if (!isPPR) return readFile(`${file}.rsc`)
  try {
    return await readFile(`${file}.prefetch.rsc`)
  } catch {
    return postponed === undefined ? readFile(`${file}.rsc`) : undefined
  }
}

async function segmentsOf(file: string, paths: string[]): Promise<Map<string, Buffer>> {
  const segments = new Map<string, Buffer>()
  const read = async (path: string): Promise<void> => {
    // A segment without a file is one without a prefetch.
    const bytes = await readFile(`${file}.segments${path}.segment.rsc`).catch(() => undefined)
    if (bytes !== undefined) segments.set(path, bytes)
  }
  await Promise.all(paths.map(read))
  return segments
}

function pathOf(key: string): string {
  const mark = key.startsWith(ROUTE_CACHE) ? key.indexOf(PATH_MARK) : -1
  return mark === -1 ? key : key.slice(mark + PATH_MARK.length - 1)
}

/** Undefined for a path that leaves the folder. */
function fileIn(dir: string, folder: string, path: string): string | undefined {
  const root = join(dir, folder)
  const file = join(root, path)
  return file.startsWith(root + sep) ? file : undefined
}
