/**
 * The requests of the dashboard: the page, the data, the live feed, and with `write` the changes.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CacheError } from '../errors.ts'
import { bySimilarity } from '../arguments/similar.ts'
import { assetOf } from './assets.ts'
import { Browser, entryOf } from './browser.ts'
import { CHANGES, keyOf } from './changes.ts'
import type { ChangeRequest } from './changes.ts'
import { Feeds } from './feed.ts'
import { OpenSegments } from './open-segments.ts'
import { isJson, refusalOf, setSecurityHeaders } from './security.ts'
import type { Purpose, Refusal } from './security.ts'
import type { DashboardSource, ViewedCache } from './source.ts'

const MAX_BODY = 65_536

/** What a handler gets from the server that mounts it. */
export interface HandlerOptions {
  readonly source: DashboardSource
  readonly write: boolean
  readonly hosts: ReadonlySet<string>
  /** Whether a request may see the dashboard; or the answer to one that may not. */
  authorize(request: IncomingMessage): Refusal | undefined | Promise<Refusal | undefined>
}

/** A request that was checked. */
interface Call {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly query: URLSearchParams
}

/** Statuses of the codes of `CacheError`; others are 500. */
const STATUSES: Readonly<Record<string, number>> = {
  ERR_INVALID_ARGUMENT: 400,
  ERR_INVALID_TTL: 400,
  ERR_KEY_TOO_LONG: 400,
  ERR_NO_SEGMENT: 404,
  ERR_CODEC_MISMATCH: 422,
  ERR_BUSY: 503,
}

export class DashboardHandler {
  readonly #options: HandlerOptions
  readonly #segments: OpenSegments
  readonly #feeds: Feeds
  readonly #browser = new Browser()

  constructor(options: HandlerOptions) {
    this.#options = options
    this.#segments = new OpenSegments(options.source)
    this.#feeds = new Feeds(options.source, this.#segments)
  }

  /** Answers a request. `path`: begins with "/", without the place where the dashboard is mounted. Never rejects. */
  async handle(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: URLSearchParams,
  ): Promise<void> {
    try {
      setSecurityHeaders(response)
      const refusal = await this.#check(request, path)
      if (refusal === undefined) await this.#answer({ request, response, query }, path)
      else refuse(response, refusal, path === '/')
    } catch (error) {
      sendError(response, error)
    }
  }

  /** Ends all live feeds, and closes what was opened. */
  close(): void {
    this.#feeds.close()
    this.#segments.close()
  }

  /** The reason to refuse a request. The cheap checks come first: `authorize` sees no request of another origin. */
  async #check(request: IncomingMessage, path: string): Promise<Refusal | undefined> {
    const { write, hosts } = this.#options
    const isChange = path.startsWith('/api/change/')
    const purpose: Purpose = isChange ? 'change' : path.startsWith('/api/') ? 'data' : 'page'
    const refusal = refusalOf(request.headers, purpose, hosts)
    if (refusal !== undefined) return refusal
    const method = isChange ? 'POST' : 'GET'
    if (request.method !== method && !(request.method === 'HEAD' && purpose === 'page')) {
      return { status: 405, code: 'ERR_METHOD', message: `this path takes ${method}` }
    }
    if (isChange && !isJson(request.headers)) {
      return { status: 415, code: 'ERR_CONTENT_TYPE', message: 'a change must be sent as application/json' }
    }
    const unauthorized = await this.#options.authorize(request)
    if (unauthorized !== undefined || !isChange || write) return unauthorized
    return { status: 403, code: 'ERR_READ_ONLY', message: 'the dashboard is read-only: it was made without write' }
  }

  async #answer(call: Call, path: string): Promise<void> {
    const { response, query } = call
    if (path.startsWith('/api/change/')) return this.#change(call, path.slice('/api/change/'.length))
    switch (path) {
      case '/api/segments':
        return sendJson(response, 200, this.#overview())
      case '/api/feed':
        return this.#feed(call)
      case '/api/keys':
        return sendJson(response, 200, await this.#keys(query))
      case '/api/entry':
        return sendJson(response, 200, this.#entry(query))
      default:
        return sendAsset(response, path === '/' ? 'index.html' : path.slice(1))
    }
  }

  #overview(): object {
    const { source, write } = this.#options
    const infos = source.list().filter(({ name }) => source.only === undefined || name === source.only)
    const segments = infos.map(({ name, readable, entries, usedBytes, capacityBytes, size, processes }) => ({
      name,
      readable,
      entries,
      usedBytes,
      capacityBytes,
      size,
      processes: processes.length,
    }))
    const { version, only = null, appVersion = '' } = source
    return { version, write, only, appVersion, segments }
  }

  #feed({ request, response, query }: Call): void {
    const mayLook = async (): Promise<boolean> => (await this.#options.authorize(request)) === undefined
    if (this.#feeds.add(this.#segmentOf(query), { response, mayLook })) return
    sendJson(response, 503, {
      error: { code: 'ERR_VIEWERS', message: 'too many pages show this segment', hint: 'Close some of them.' },
    })
  }

  #keys(query: URLSearchParams): Promise<object> {
    const walk = query.get('walk')
    if (walk !== null) return this.#browser.next(walk)
    const prefix = query.get('hex') === null ? query.get('prefix') : keyOf({ hex: query.get('hex') })
    const tags = query.getAll('tag').filter((tag) => tag !== '')
    const options = { ...(prefix && { prefix }), ...(tags.length > 0 && { tags }) }
    return this.#browser.begin(this.#cacheOf(query), options)
  }

  /** The entry; null: there is none. */
  #entry(query: URLSearchParams): object | null {
    const key = keyOf({ text: query.get('text'), hex: query.get('hex') })
    return entryOf(this.#cacheOf(query), key) ?? null
  }

  async #change({ request, response }: Call, name: string): Promise<void> {
    const change = Object.hasOwn(CHANGES, name) ? CHANGES[name] : undefined
    if (change === undefined) {
      const [similar] = bySimilarity(name, Object.keys(CHANGES))
      throw new CacheError('ERR_INVALID_ARGUMENT', `there is no change ${JSON.stringify(name)}`, {
        hint: `Did you mean ${similar}?`,
      })
    }
    const body = await bodyOf(request)
    const query = new URLSearchParams()
    for (const field of ['segment', 'namespace', 'appVersion']) {
      if (typeof body[field] === 'string') query.set(field, body[field])
    }
    sendJson(response, 200, change(this.#cacheOf(query), body as ChangeRequest))
  }

  #cacheOf(query: URLSearchParams): ViewedCache {
    return this.#segments.use(
      this.#segmentOf(query),
      query.get('namespace') ?? '',
      query.get('appVersion') ?? undefined,
    )
  }

  #segmentOf(query: URLSearchParams): string {
    const { only } = this.#options.source
    const name = query.get('segment') ?? only ?? ''
    if (only === undefined || name === only) return name
    throw new CacheError('ERR_INVALID_ARGUMENT', `this dashboard shows the segment ${JSON.stringify(only)} only`, {
      hint: 'Leave out the parameter segment.',
    })
  }
}

/** The object in a JSON body. A body that a framework has read already is taken as it is. */
async function bodyOf(request: IncomingMessage & { body?: unknown }): Promise<Record<string, unknown>> {
  const body = request.body !== undefined && request.body !== null ? request.body : await readJson(request)
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Record<string, unknown>
  throw new CacheError('ERR_INVALID_ARGUMENT', 'the body is no JSON object', { hint: 'Send a JSON object.' })
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length
    if (length > MAX_BODY) {
      const message = `the body has more than ${MAX_BODY} bytes`
      throw new CacheError('ERR_INVALID_ARGUMENT', message, { hint: 'Send fewer tags at a time.' })
    }
    parts.push(part)
  }
  try {
    return JSON.parse(Buffer.concat(parts).toString()) as unknown
  } catch {
    return undefined
  }
}

/** A person reads what takes the place of the page. */
function refuse(response: ServerResponse, { status, code, message }: Refusal, isPage: boolean): void {
  if (!isPage) return sendJson(response, status, { error: { code, message, hint: null } })
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' })
  response.end(`${message} (${code})\n`)
}

function sendAsset(response: ServerResponse, path: string): void {
  const asset = assetOf(path)
  if (asset === undefined) {
    sendJson(response, 404, { error: { code: 'ERR_NOT_FOUND', message: 'there is no such path', hint: null } })
    return
  }
  response.writeHead(200, { 'Content-Type': asset.type, 'Content-Length': asset.content.length })
  response.end(response.req.method === 'HEAD' ? undefined : asset.content)
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.end()
    return
  }
  const known = error instanceof CacheError ? error : undefined
  const {
    code = 'ERR_UNEXPECTED',
    message = 'the dashboard failed; see the log of its process',
    hint = null,
  } = known ?? {}
  if (known === undefined) process.emitWarning(error instanceof Error ? error : String(error))
  sendJson(response, STATUSES[code] ?? 500, { error: { code, message, hint } })
}

function sendJson(response: ServerResponse, status: number, document: object | null): void {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' })
  response.end(JSON.stringify(document))
}
