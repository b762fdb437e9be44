/**
 * An application of `adapters/apps/` under cluster, and requests to it.
 */
import { request } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import type { ExecutionContext } from 'ava'
import { WORKER } from '../adapters/apps/app.ts'
import { STARTED, fork } from './fork.ts'

export interface Answer {
  readonly status: number
  /** Of JSON. */
  readonly body: Record<string, unknown>
  readonly headers: IncomingHttpHeaders
  /** The pid of the worker that answered. */
  readonly worker: number
}

export interface Running {
  readonly port: number
  /** Of the workers. */
  readonly pids: readonly number[]
}

/** Serves an application over the segment `name`, until the test ends. */
export function serveApp(t: ExecutionContext, app: string, name: string, workers = 2): Promise<Running> {
  return fork(t, 'host-app', { app, name, workers }).next<Running>(STARTED)
}

/** A client with the cookies that it was sent. Each request has a connection of its own, so the workers take turns. */
export class Client {
  readonly #port: number
  readonly #cookies = new Map<string, string>()

  constructor({ port }: { readonly port: number }) {
    this.#port = port
  }

  async get(path: string): Promise<Answer> {
    const cookie = [...this.#cookies].map((pair) => pair.join('=')).join('; ')
    const headers = cookie === '' ? {} : { cookie }
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({ host: '127.0.0.1', port: this.#port, path, headers, agent: false, timeout: 20_000 }, resolve)
        .on('error', reject)
        .on('timeout', () => reject(new Error(`no answer to ${path}`)))
        .end()
    })
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      this.#cookies.set(name, value)
    }
    const body = (await json(response)) as Record<string, unknown>
    return {
      status: response.statusCode ?? 0,
      body,
      headers: response.headers,
      worker: Number(response.headers[WORKER]),
    }
  }
}
