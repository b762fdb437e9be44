/**
 * The cache and the metrics of all processes. The workers inherit its name through the environment.
 */
import { open } from 'cache-machine'

const name = process.env.CACHE_NAME ?? 'rate-limit'

export const cache = open({ name, size: '8mb' })
export const metrics = cache.metrics()
