/**
 * Takes tokens and counts, `calls` times each, or until it is killed; then it says each call that returned by a letter on
 * standard output, by the system call itself: what was said outlives it, and at most one call is done and not said.
 */
import { writeSync } from 'node:fs'
import { open } from '../../index.ts'
import { LETTERS, WINDOW } from '../helpers/consuming.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Consuming {
  readonly name: string
  readonly size: `${number}mb`
  readonly limit: number
  /** 0: until it is killed. */
  readonly calls: number
}

const { name, size, limit, calls } = input<Consuming>()
const cache = open({ name, size, writeTimeout: '10s' })
const limiters = (['sliding-window', 'gcra', 'fixed-window'] as const).map((algorithm) =>
  cache.limiter('api', { limit, window: WINDOW, algorithm }),
)
const metrics = cache.metrics()
const counter = metrics.counter('calls_total', { kind: 'all' })
const histogram = metrics.histogram('sizes', {}, { buckets: [1, 2, 3] })
const allowed = [0, 0, 0]

/** In the order of the letters `LETTERS`. */
const steps = [
  ...limiters.map((limiter, i) => () => {
    if (limiter.consume('key').allowed) allowed[i] = (allowed[i] ?? 0) + 1
  }),
  () => void cache.incr('number'),
  () => counter.inc(),
  () => histogram.observe(2),
]

receive(() => {
  if (calls === 0) return untilKilled()
  for (const step of steps) for (let i = 0; i < calls; i++) step()
  send(allowed)
})
send('ready')

function untilKilled(): void {
  for (let i = 0; i < 50; i++) {
    steps.forEach((step, which) => {
      step()
      say(LETTERS[which] ?? '')
    })
  }
  setImmediate(untilKilled)
}

function say(letter: string): void {
  for (const bytes = Buffer.from(letter); ;) {
    try {
      writeSync(1, bytes)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}
