/**
 * What all processes share. Workers get the name from the primary.
 */
import { open } from '../../dist/index.js'

const [, , name = `example-rate-limit-${process.pid}`] = process.argv

export const cache = open({ name, size: '8mb' })
export const metrics = cache.metrics()
