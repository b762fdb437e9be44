/**
 * Opens a cache that is to be pinned in RAM. Reports the outcome, and whether an ordinary cache still opens.
 */
import { open, segments } from '../../index.ts'
import type { CacheError } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

const name = input<string>()
const locked = attempt(true)
const ordinary = attempt(false)
segments.destroy(name, { force: true })
send({ locked, ordinary })

function attempt(lockMemory: boolean): string {
  try {
    using cache = open({ name, size: '8mb', lockMemory })
    cache.set('a', 1)
    return `works: ${String(cache.get('a'))}`
  } catch (error) {
    return (error as CacheError).code
  }
}
