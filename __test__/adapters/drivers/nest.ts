import { CACHE_MANAGER, CacheModule } from '@nestjs/cache-manager'
import { NestFactory } from '@nestjs/core'
import { createCache } from 'cache-manager'
import type { Cache } from 'cache-manager'
import type { SharedCache } from '../../../index.ts'
import { nestCacheManager, nestStore } from '../../../lib/adapters/nest.ts'
import { lenient } from '../driver.ts'
import type { Driver, Expected } from '../driver.ts'

export const expected: Expected = { ...lenient, loads: true }

/** Values through `CacheModule` of Nest, loads through the provider in its place. */
export async function driver(cache: SharedCache): Promise<Driver> {
  const other = await driverFor(cache, 'second')
  return { ...(await driverFor(cache, 'first')), other: () => other }
}

async function driverFor(cache: SharedCache, namespace: string): Promise<Driver> {
  const app = await NestFactory.createApplicationContext(
    CacheModule.register({ stores: nestStore(cache, { namespace }) }),
    { logger: false },
  )
  const manager = app.get<Cache>(CACHE_MANAGER)
  const { useValue: hostWide } = nestCacheManager(cache, { createCache, namespace })
  return {
    get: (key) => manager.get(key),
    set: (key, value, ttl) => manager.set(key, value, ttl),
    delete: (key) => manager.del(key),
    clear: () => manager.clear(),
    load: (key, load) => hostWide.wrap(key, load),
  }
}
