/**
 * cache-machine/dashboard: a page that shows a cache while it works, for the server of an application. The command
 * `cache-machine ui` shows the same page without one.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
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
export declare function dashboard(cache: DashboardCache | string, options: DashboardOptions): Dashboard
