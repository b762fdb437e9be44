/**
 * Fastify with @fastify/session: the pages of `express-session.ts`.
 */
import cookie from '@fastify/cookie'
import fastifySession from '@fastify/session'
import fastify from 'fastify'
import type { SharedCache } from '../../../index.ts'
import { sessionStore } from '../../../lib/adapters/session.ts'
import { WORKER, held } from './app.ts'

type Pages = { name?: string; count?: number; late?: boolean }

export async function serve(cache: SharedCache): Promise<void> {
  const app = fastify()
  app.addHook('onRequest', async (_request, reply) => {
    reply.header(WORKER, process.pid)
  })
  await app.register(cookie)
  await app.register(fastifySession, {
    store: sessionStore(cache, { size: '1mb' }),
    secret: 'a secret of at least thirty-two characters',
    saveUninitialized: false,
    cookie: { maxAge: 600_000, secure: false },
  })
  // oxlint-disable-next-line oxc/no-async-endpoint-handlers -- Fastify handles promises.
  app.get<{ Querystring: { name: string } }>('/login', async (request) => {
    await request.session.regenerate()
    return Object.assign(request.session, { name: request.query.name, count: 0 })
  })
  app.get('/logout', async ({ session }) => {
    await session.destroy()
    return { ended: true }
  })
  app.get('/count', async ({ session }) => {
    const pages = session as Pages
    pages.count = (pages.count ?? 0) + 1
    return pages
  })
  app.get('/look', async ({ session }) => session)
  app.get('/save-late', async ({ session }) => {
    await held(cache)
    ;(session as Pages).late = true
    return { ended: true }
  })
  app.get('/touch-late', async () => {
    await held(cache)
    return { ended: true }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
}
