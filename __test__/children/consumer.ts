/**
 * Takes tokens and counts, `calls` times each, or until it is killed. In the second case it reports each completed call
 * by a letter on standard output. The system call itself writes the letter: a report outlives the process, and at most
 * one call is done without a report.
 */
import { LETTERS, WINDOW } from '../helpers/consuming.ts'
import { receive, send } from '../helpers/port.ts'
import { say } from '../helpers/say.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Consuming extends SegmentInput {
  readonly limit: number
  /** 0: until it is killed. */
  readonly calls: number
}

const { cache, limit, calls } = openInput<Consuming>()
const limiters = (['sliding-window', 'gcra', 'fixed-window'] as const).map((algorithm) =>
  cache.limiter('api', { limit, window: WINDOW, algorithm }),
)
const metrics = cache.metrics()
const counter = metrics.counter('calls_total', { kind: 'all' })
const histogram = metrics.histogram('sizes', {}, { buckets: [1, 2, 3] })
const allowed = [0, 0, 0]

/** A value that takes long to store, so that many kills hit the process inside a lock. */
const large = Buffer.alloc(2 ** 18)

/** In the order of the letters of `LETTERS`. */
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
      cache.set('large', large)
    })
  }
  setImmediate(untilKilled)
}
