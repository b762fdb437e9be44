import { Controller, Get, Inject, Module, type OnApplicationShutdown, Param } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { open, type SharedCache } from 'cache-machine'

const CACHE = Symbol('cache')

/** Closes the cache with the application. */
class CacheHolder implements OnApplicationShutdown {
  readonly cache: SharedCache = open({ name: process.env['SEGMENT'] ?? '', size: '8mb' })

  onApplicationShutdown(): void {
    this.cache.close()
  }
}

@Controller()
class UsersController {
  constructor(@Inject(CACHE) private readonly holder: CacheHolder) {}

  @Get('users/:id')
  async user(@Param('id') id: string): Promise<{ user: unknown; loads: number }> {
    const { cache } = this.holder
    const load = (): { id: string; load: number } => ({ id, load: cache.incr('loads') })
    const user = await cache.getOrSet(`user:${id}`, load, { ttl: '5m' })
    return { user, loads: cache.get('loads') as number }
  }
}

@Module({ controllers: [UsersController], providers: [{ provide: CACHE, useClass: CacheHolder }] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] })
  app.enableShutdownHooks()
  await app.listen(Number(process.env['PORT']), '127.0.0.1')
}

void main()
