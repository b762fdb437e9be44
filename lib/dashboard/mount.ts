/**
 * The dashboard inside a server of the application: node:http, Express, Connect, Fastify.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { DashboardHandler } from './handler.ts'

/** A request of Express or Connect has these as well. */
type MountedRequest = IncomingMessage & { readonly originalUrl?: string }

/** What the plugin needs of Fastify. */
export interface FastifyLike {
  readonly prefix: string
  removeAllContentTypeParsers(): unknown
  addContentTypeParser(type: string, parser: (...args: never[]) => void): unknown
  route(options: {
    method: string[]
    url: string
    handler(request: { readonly raw: IncomingMessage }, reply: FastifyReplyLike): void
  }): unknown
  addHook(name: 'preClose', hook: (done: () => void) => void): unknown
}

interface FastifyReplyLike {
  readonly raw: ServerResponse
  hijack(): unknown
}

/**
 * Answers a request below `base`; true. False: it is for another path.
 *
 * Express and Connect take the path of the mount from `url`, and keep the whole in `originalUrl`.
 */
export function answer(
  handler: DashboardHandler,
  request: MountedRequest,
  response: ServerResponse,
  base: string,
): boolean {
  const [whole = '/', query = ''] = (request.url ?? '/').split('?', 2)
  if (whole !== base && !whole.startsWith(`${base}/`)) return false
  const path = whole.slice(base.length)
  const [shown = '/'] = (request.originalUrl ?? whole).split('?', 1)
  // The addresses in the page are relative to its folder.
  if ((path === '' || path === '/') && !shown.endsWith('/'))
    redirect(response, `./${shown.slice(shown.lastIndexOf('/') + 1)}/`)
  else void handler.handle(request, response, path === '' ? '/' : path, new URLSearchParams(query))
  return true
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(302, { Location: location, 'Cache-Control': 'no-store' })
  response.end()
}

/** Registers all paths of the dashboard below the prefix of a plugin. */
export function registerIn(fastify: FastifyLike, handler: DashboardHandler): void {
  // The dashboard reads the bodies of its requests itself.
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser('*', ((_request: unknown, _payload: unknown, done: (error: null) => void) => {
    done(null)
  }) as (...args: never[]) => void)
  for (const url of ['/', '/*']) {
    fastify.route({
      method: ['GET', 'POST'],
      url,
      handler(request, reply) {
        reply.hijack()
        answer(handler, request.raw, reply.raw, fastify.prefix)
      },
    })
  }
  fastify.addHook('preClose', (done) => {
    handler.close()
    done()
  })
}
