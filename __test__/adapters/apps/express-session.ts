/**
 * Express with express-session: `/login` makes a session, `/logout` ends it, `/count` counts in it, `/look` answers with
 * it. `/save-late` and `/touch-late` are held by the test in between.
 */
import express from 'express'
import session from 'express-session'
import type { SharedCache } from '../../../index.ts'
import { sessionStore } from '../../../lib/adapters/session.ts'
import { WORKER, held } from './app.ts'

type Pages = session.SessionData & { name?: string; count?: number }

export async function serve(cache: SharedCache): Promise<void> {
  const app = express()
  app.use((_request, response, next) => {
    response.setHeader(WORKER, process.pid)
    next()
  })
  app.use(
    session({
      store: sessionStore(cache, { Store: session.Store, size: '1mb' }),
      secret: 'a secret of at least thirty-two characters',
      resave: false,
      saveUninitialized: false,
      rolling: true,
      cookie: { maxAge: 600_000 },
    }),
  )
  app.get('/login', (request, response) => {
    request.session.regenerate((error) => {
      if (error) throw error
      Object.assign(request.session, { name: request.query['name'], count: 0 })
      response.json(request.session)
    })
  })
  app.get('/logout', (request, response) => {
    request.session.destroy((error) => response.json({ ended: !error }))
  })
  app.get('/count', (request, response) => {
    const pages = request.session as Pages
    pages.count = (pages.count ?? 0) + 1
    response.json(pages)
  })
  app.get('/look', (request, response) => {
    response.json(request.session)
  })
  app.get('/save-late', (request, response, next) => {
    const save = () => response.json(Object.assign(request.session, { late: true }))
    held(cache).then(save, next)
  })
  app.get('/touch-late', (_request, response, next) => {
    held(cache).then(() => response.json({ ended: true }), next)
  })
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', () => resolve()))
}
