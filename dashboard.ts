/**
 * cache-machine/dashboard: a page that shows a cache while it works, for the server of an application. The command
 * `cache-machine ui` shows the same page without one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { open, segments } from './index.ts'
import type { OpenOptions, SegmentOptions } from './lib/arguments/options.ts'
import { accepted, checkObject } from './lib/arguments/option-names.ts'
import { checkName, resolvePlace } from './lib/arguments/options.ts'
import { DashboardHandler } from './lib/dashboard/handler.ts'
import { answer, registerIn } from './lib/dashboard/mount.ts'
import type { DashboardSource, ViewedCache } from './lib/dashboard/source.ts'
import { invalid } from './lib/errors.ts'
import { packageVersion } from './lib/native/addon.ts'
import { givenOptions } from './lib/segment/handle.ts'
import { heldIn } from './lib/segment/holders.ts'
import { shardsOf } from './lib/segment/shards.ts'

/** Options of `dashboard`. */
export interface DashboardOptions {
  /**
   * Whether a request may see the dashboard, and with `write` change entries: it shows every key and every value.
   * Required. False, or a rejection: the answer is 403. It is called for each request that passes the checks of host and
   * origin, and every 30 seconds for a live page.
   */
  authorize(request: IncomingMessage): boolean | Promise<boolean>
  /** Whether the page can delete entries, change lifetimes, invalidate tags and clear. Default: false. */
  write?: boolean | undefined
  /**
   * The path below which the dashboard is, such as `/cache`. Default: none, for a server that mounts it by itself, as
   * Express and Fastify do.
   */
  base?: string | undefined
  /**
   * The host names under which the server is reached, such as `admin.example.com`, with or without a port. Requests with
   * other names are refused, which stops DNS rebinding. Names of loopback are always allowed. Default: no further ones.
   */
  hosts?: readonly string[] | undefined
  /** With a name instead of a cache: the folder that was passed to `open`. */
  directory?: string | undefined
  /** With a name instead of a cache: the group that was passed to `open`. */
  group?: string | number | undefined
}

/** A cache that `open` returned. */
export interface DashboardCache {
  readonly name: string
  readonly namespaceName: string
}

/** The dashboard of one cache: a listener for node:http, and middleware for Express and Connect. */
export interface Dashboard {
  /** Answers a request. One for another path goes to `next`, or is answered by 404. */
  (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void): void
  /** A plugin for Fastify; its prefix is the path of the dashboard. */
  fastify(instance: FastifyHost, options: unknown, done: (error?: Error) => void): void
  /** Ends all live pages, and closes what the dashboard has opened. */
  close(): void
}

/** What the plugin uses of Fastify. */
export interface FastifyHost {
  readonly prefix: string
}

const DASHBOARD = accepted<DashboardOptions>('dashboard', {
  authorize: true,
  write: true,
  base: true,
  hosts: true,
  directory: true,
  group: true,
})

/**
 * A page with rates, latencies, memory, keys, values, namespaces, processes and locks, live and offline.
 *
 * It opens the segment at the first request, without creating it, and leaves no trace in it: reads count as no hit.
 * While a page is open, the processes of the segment sample one of 1,024 calls.
 *
 * @param cache A cache of `open`, of which it uses the codec as well, or the name of a segment.
 * @param options `authorize` is required; see `DashboardOptions`.
 * @throws {CacheError} `ERR_INVALID_ARGUMENT`.
 * @example
 * app.use('/cache', dashboard(cache, { authorize: (request) => request.session.isAdmin }))
 */
export function dashboard(cache: DashboardCache | string, options: DashboardOptions): Dashboard {
  checkObject(options, DASHBOARD)
  const { authorize, write = false, base = '', hosts = [] } = options
  if (typeof authorize !== 'function') throw noAuthorize(authorize)
  if (typeof write !== 'boolean') throw invalid('write must be true or false', write)
  if (typeof base !== 'string' || !/^(?:\/[\w.~-]+)*$/.test(base))
    throw invalid('base must be a path such as "/cache"', base)
  const handler = new DashboardHandler({
    source: sourceOf(typeof cache === 'string' ? named(cache, options) : optionsOf(cache)),
    write,
    hosts: hostNames(hosts),
    authorize: async (request) => ((await isAllowed(authorize, request)) ? undefined : FORBIDDEN),
  })
  const listener = (request: IncomingMessage, response: ServerResponse, next?: (error?: unknown) => void): void => {
    if (answer(handler, request, response, base)) return
    if (next !== undefined) next()
    else response.writeHead(404).end()
  }
  return Object.assign(listener, {
    fastify(instance: FastifyHost, _options: unknown, done: (error?: Error) => void) {
      registerIn(instance as Parameters<typeof registerIn>[0], handler)
      done()
    },
    close: () => handler.close(),
  })
}

const FORBIDDEN = { status: 403, code: 'ERR_FORBIDDEN', message: 'this user may not see the dashboard' } as const

async function isAllowed(authorize: DashboardOptions['authorize'], request: IncomingMessage): Promise<boolean> {
  try {
    return (await authorize(request)) === true
  } catch {
    return false
  }
}

function noAuthorize(found: unknown): Error {
  const hint =
    'Pass authorize: (request) => boolean, such as (request) => request.session?.isAdmin === true. The dashboard shows all ' +
    'keys and values, so there is no default.'
  return invalid('dashboard needs the function authorize', found, 'ERR_INVALID_ARGUMENT', hint)
}

function hostNames(hosts: unknown): ReadonlySet<string> {
  const isName = (host: unknown): boolean => typeof host === 'string' && /^[a-z0-9.:[\]-]+$/i.test(host)
  if (!Array.isArray(hosts) || !hosts.every(isName)) throw invalid('hosts must be a list of host names', hosts)
  return new Set(hosts.map((host: string) => host.toLowerCase()))
}

function named(name: string, { directory, group }: DashboardOptions): OpenOptions {
  return { name: checkName(name), ...resolvePlace({ directory, group }) }
}

/** The options by which the segment of a cache is opened once more. */
function optionsOf(cache: DashboardCache): OpenOptions {
  const given = givenOptions.get(cache)
  if (given === undefined) throw invalid('dashboard takes a cache of open, or the name of a segment', cache)
  if (cache.namespaceName === '') return given
  const hint = 'Pass the cache that open returned: its dashboard shows all namespaces.'
  throw invalid('dashboard takes no namespace', cache.namespaceName, 'ERR_INVALID_ARGUMENT', hint)
}

function sourceOf({ name, directory, group, engine, codec, version }: OpenOptions): DashboardSource {
  const place: SegmentOptions = { directory, group, engine }
  return {
    version: packageVersion(),
    only: name,
    appVersion: version,
    list: () => {
      const info = segments.inspect(name, place)
      return info === undefined ? [] : [info]
    },
    inspect: () => segments.inspect(name, place),
    open: (_, appVersion) =>
      open({
        name,
        ...place,
        create: false,
        near: false,
        strict: true,
        version: appVersion,
        ...(codec !== undefined && { codec }),
      }) as unknown as ViewedCache,
    heldIn,
    shardsOf,
  }
}
