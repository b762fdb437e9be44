/**
 * What all processes share. Workers inherit its name with the environment.
 */
import { open } from 'cache-machine'

const name = process.env.CACHE_NAME ?? 'rate-limit'

export const cache = open({ name, size: '8mb' })
export const metrics = cache.metrics()
