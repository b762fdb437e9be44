/**
 * Which requests are refused before anything is read, and the headers of all answers.
 *
 * - The host must be a name of this machine or one of `hosts`. DNS rebinding binds the name of another site to a loopback
 *   address, and the browser still sends that name.
 * - The browser must say that a page of the same origin asks. Pages of other sites, and of other ports of the same host,
 *   are refused; only the page itself may be opened from elsewhere.
 * - A change needs `write`, the method POST, and a JSON body, which no form of another site can send.
 */
import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import { createHash, timingSafeEqual } from 'node:crypto'

/** An answer to a refused request. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ')

const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy': POLICY,
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
  'Cache-Control': 'no-store',
}

export function setSecurityHeaders(response: ServerResponse): void {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value)
}

/** What a request wants. */
export type Purpose = 'page' | 'data' | 'change'

/** `hosts`: further names of the server, in lower case, with or without a port. */
export function refusalOf(
  headers: IncomingHttpHeaders,
  purpose: Purpose,
  hosts: ReadonlySet<string>,
): Refusal | undefined {
  const host = headers.host?.toLowerCase() ?? ''
  if (!isOwnHost(host, hosts)) {
    const message = `the host ${JSON.stringify(host)} is no name of this machine; list it in the option hosts`
    return { status: 403, code: 'ERR_HOST', message }
  }
  if (!isOwnOrigin(headers, host, purpose)) {
    return { status: 403, code: 'ERR_ORIGIN', message: 'the request comes from a page of another origin' }
  }
  return undefined
}

/** Whether the body is declared as JSON, which no form can send, and no script of another site without being asked. */
export function isJson(headers: IncomingHttpHeaders): boolean {
  return /^application\/json\b/i.test(headers['content-type'] ?? '')
}

function isOwnHost(host: string, hosts: ReadonlySet<string>): boolean {
  const name = host.replace(/:\d+$/, '')
  if (hosts.has(host) || hosts.has(name)) return true
  return name === 'localhost' || name === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name)
}

function isOwnOrigin(headers: IncomingHttpHeaders, host: string, purpose: Purpose): boolean {
  const site = headers['sec-fetch-site']
  // A link elsewhere may lead to the page: it has no data in it.
  if (purpose === 'page' && headers['sec-fetch-mode'] === 'navigate') return true
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  const { origin } = headers
  if (origin === undefined) return true
  // Behind a proxy the scheme may differ.
  return URL.canParse(origin) && new URL(origin).host === host
}

/** Whether two secrets are equal, in a time that does not depend on where they differ. */
export function isSameSecret(given: string, secret: string): boolean {
  const hash = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(hash(given), hash(secret))
}

/** A cookie of a request. */
export function cookieOf({ cookie = '' }: IncomingHttpHeaders, name: string): string | undefined {
  const found = cookie.split(';').find((part) => part.trim().startsWith(`${name}=`))
  return found?.trim().slice(name.length + 1)
}
