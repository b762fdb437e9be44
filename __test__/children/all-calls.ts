/**
 * Makes every call of a cache several times, for `npm run sanitize`. The sanitizer checks what the addon does to
 * memory, so the program checks only that it ends.
 */
import { open, regions, segments } from '../../index.ts'
import { asynchronous, regionsOfCalls, segmentOfCalls, synchronous } from '../helpers/every-call.ts'

const TIMES = 20
const name = `all-calls-${process.pid}`
const cache = open({ name, size: '8mb', writeTimeout: '1m' })
// Waits do not keep a process alive.
const awake = setInterval(() => undefined, 1000)

try {
  for (const call of Object.values(synchronous)) for (let i = 0; i < TIMES; i++) call(cache, i)
  for (const call of Object.values(asynchronous)) for (let i = 0; i < TIMES; i++) await call(cache, i)
  console.log(`${Object.keys(synchronous).length + Object.keys(asynchronous).length} calls, ${TIMES} times each`)
} finally {
  clearInterval(awake)
  cache.close()
  for (const region of regionsOfCalls) regions.destroy(name, region, { force: true })
  for (const segment of [name, segmentOfCalls(name)]) segments.destroy(segment, { force: true })
}
