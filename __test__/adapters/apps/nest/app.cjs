/**
 * A Nest application of workers that share a cache, written without decorator syntax so that both module formats run it.
 * `nest` has the modules of Nest, as the server has loaded them.
 */
exports.start = async ({ common, core, nestCache, cacheManager, adapter, machine }, name, isHostWide) => {
  const { Controller, Delete, Get, Inject, Module, UseInterceptors } = common
  const { CACHE_MANAGER, CacheInterceptor, CacheKey, CacheModule, CacheTTL } = nestCache
  const cache = machine.open({ name, size: '8mb' })

  class Pages {
    constructor(manager) {
      this.manager = manager
    }
    now() {
      return { handled: cache.incr('handled'), pid: process.pid }
    }
    short() {
      return { handled: cache.incr('short') }
    }
    nothing() {
      cache.incr('nothing')
      return null
    }
    async wrapped() {
      return this.manager.wrap('slow', async () => {
        const load = cache.incr('loads')
        await cache.waitFor('go')
        return { load }
      })
    }
    async clear() {
      await this.manager.clear()
      return { cleared: true }
    }
  }
  decorate(Pages, [Controller()], { now: [Get('now')], short: [Get('short'), CacheKey('short'), CacheTTL(200)] })
  decorate(Pages, [UseInterceptors(CacheInterceptor)], { nothing: [Get('nothing')], clear: [Delete('clear')] })
  decorate(Pages, [], { wrapped: [Get('wrapped'), UseInterceptors(PassOn)] })
  Inject(CACHE_MANAGER)(Pages, undefined, 0)

  const { createCache } = cacheManager
  const { provide, useValue } = adapter.nestCacheManager(cache, { createCache, ttl: 60_000 })
  const options = { stores: adapter.nestStore(cache), ttl: 60_000, isGlobal: true }
  const providers = isHostWide ? [{ provide, useValue }] : []
  const imports = isHostWide ? [] : [CacheModule.register(options)]
  // Nest calls it with `new`.
  function App() {}
  Module({ imports, providers, controllers: [Pages] })(App)

  const app = await core.NestFactory.create(App, { logger: ['error'] })
  app.enableShutdownHooks()
  await app.listen(0, '127.0.0.1')
  process.send({ port: app.getHttpServer().address().port })
  process.on('disconnect', async () => {
    await app.close()
    cache.close()
  })
}

/** An interceptor that does nothing. */
class PassOn {
  intercept(_context, next) {
    return next.handle()
  }
}

function decorate(target, ofClass, methods) {
  for (const decorator of ofClass) decorator(target)
  for (const [name, decorators] of Object.entries(methods)) {
    const descriptor = Object.getOwnPropertyDescriptor(target.prototype, name)
    for (const decorator of decorators) decorator(target.prototype, name, descriptor)
  }
}
