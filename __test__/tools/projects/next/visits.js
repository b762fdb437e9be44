import { open } from 'cache-machine'

/** Counts in a segment that the page and the route share. */
export function visits() {
  const cache = open({ name: process.env.SEGMENT, size: '8mb' })
  try {
    return cache.incr('visits')
  } finally {
    cache.close()
  }
}
