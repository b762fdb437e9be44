/**
 * The server of the command: on loopback, with a random token.
 *
 * The token is in the URL that the command prints. The first request exchanges it for a cookie, so that it stays neither
 * in the address bar nor in the history. Other users of the machine can reach the port, and know no token.
 */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CacheError } from '../errors.ts'
import { DashboardHandler } from './handler.ts'
import { cookieOf, isSameSecret, setSecurityHeaders } from './security.ts'
import type { Refusal } from './security.ts'
import type { DashboardSource } from './source.ts'

const LOOPBACK = '127.0.0.1'

/** Options of the server. */
export interface ServerOptions {
  readonly source: DashboardSource
  readonly write: boolean
  /** 0: any free port. */
  readonly port: number
}

/** A running server. */
export interface DashboardServer {
  /** With the token. */
  readonly url: string
  close(): Promise<void>
}

/** Rejects with `ERR_INVALID_ARGUMENT` if the port is in use. */
export async function startServer({ source, write, port }: ServerOptions): Promise<DashboardServer> {
  const token = randomBytes(24).toString('base64url')
  // Cookies are those of a host, whatever the port.
  let cookie = ''
  const authorize = ({ headers }: IncomingMessage): Refusal | undefined =>
    isSameSecret(cookieOf(headers, cookie) ?? '', token) ? undefined : NO_TOKEN
  const handler = new DashboardHandler({ source, write, hosts: new Set(), authorize })
  const server = createServer((request, response) => {
    const [path = '/', query = ''] = (request.url ?? '/').split('?', 2)
    const parameters = new URLSearchParams(query)
    const given = parameters.get('token')
    if (path === '/' && given !== null && isSameSecret(given, token)) signIn(response, cookie, token)
    else void handler.handle(request, response, path, parameters)
  })
  const used = await listen(server, port)
  cookie = `cache-machine-${used}`
  return {
    url: `http://${LOOPBACK}:${used}/?token=${token}`,
    async close() {
      handler.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const NO_TOKEN: Refusal = {
  status: 401,
  code: 'ERR_TOKEN',
  message: 'Open the URL that "cache-machine ui" has printed: it has a token. Each start makes a new one.',
}

/** The cookie is for this page only: no other site can send it, and no script can read it. */
function signIn(response: ServerResponse, name: string, token: string): void {
  setSecurityHeaders(response)
  response.writeHead(303, {
    'Set-Cookie': `${name}=${token}; Path=/; HttpOnly; SameSite=Strict`,
    Location: '/',
  })
  response.end()
}

function listen(server: ReturnType<typeof createServer>, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const hint = 'Choose another port, or none: then the system chooses a free one.'
      reject(new CacheError('ERR_INVALID_ARGUMENT', `port ${port} cannot be used: ${cause.code}`, { hint, cause }))
    })
    server.listen(port, LOOPBACK, () => resolve((server.address() as AddressInfo).port))
  })
}
