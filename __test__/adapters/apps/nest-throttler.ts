/**
 * Nest with @nestjs/throttler. Without decorators, which Node.js cannot run: they are functions.
 */
// oxlint-disable-next-line import/no-unassigned-import -- Nest asks for it first.
import 'reflect-metadata'
import { Controller, Get, Module } from '@nestjs/common'
import { APP_GUARD, NestFactory } from '@nestjs/core'
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler'
import type { SharedCache } from '../../../index.ts'
import { nestThrottlerStorage } from '../../../lib/adapters/nest-throttler.ts'
import { APP_LIMIT, APP_WINDOW, WORKER } from './app.ts'

export async function serve(cache: SharedCache): Promise<void> {
  class Pages {
    page(): object {
      return {}
    }
  }
  Get('/')(Pages.prototype, 'page', Object.getOwnPropertyDescriptor(Pages.prototype, 'page') as PropertyDescriptor)
  Controller()(Pages)
  // oxlint-disable-next-line typescript/no-extraneous-class -- A module of Nest is a class.
  class Root {}
  const throttlers = [{ ttl: APP_WINDOW, limit: APP_LIMIT }]
  Module({
    imports: [ThrottlerModule.forRoot({ throttlers, storage: nestThrottlerStorage(cache) })],
    controllers: [Pages],
    providers: [{ provide: APP_GUARD, useClass: ThrottlerGuard }],
  })(Root)
  const app = await NestFactory.create(Root, { logger: false })
  app.use((_request: unknown, response: { setHeader(name: string, value: number): void }, next: () => void) => {
    response.setHeader(WORKER, process.pid)
    next()
  })
  await app.listen(0, '127.0.0.1')
}
