import { open } from 'cache-machine'
import { cacheHandlers } from 'cache-machine/next'

export default cacheHandlers(() => open({ name: process.env.SEGMENT, size: '128mb', maxEntrySize: '8mb' }))
