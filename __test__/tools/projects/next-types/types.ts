// The handlers fit the types of Next itself. next-app.spec.ts checks this file in the folder of a built application.
import { open } from 'cache-machine'
import { cacheHandler, cacheHandlers } from 'cache-machine/next'
import type { CacheHandler as UseCacheHandler } from 'next/dist/server/lib/cache-handlers/types.js'
import type { CacheHandler } from 'next/dist/server/lib/incremental-cache/index.js'

export const Handler: typeof CacheHandler = cacheHandler(() => open({ name: 'types' }))
export const handler: UseCacheHandler = cacheHandlers(() => open({ name: 'types' }))
