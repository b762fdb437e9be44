/**
 * Counts in metrics by remote control: each message is a number of repetitions; the answer is the text that the metrics
 * render then.
 */
import { receive, send } from '../helpers/port.ts'
import { openInput } from '../helpers/segment-input.ts'
import type { SegmentInput } from '../helpers/segment-input.ts'

export interface Measuring extends SegmentInput {
  readonly worker: number
}

const { cache, worker } = openInput<Measuring>()
const metrics = cache.metrics()
const common = metrics.counter('common_total', {}, { help: 'Of all workers.' })
const own = metrics.counter('own_total', { worker })
const gauge = metrics.gauge('connections')
const living = metrics.gauge('open_requests', {}, { aggregate: 'living' })
const histogram = metrics.histogram('seconds', { route: '/' }, { buckets: [0.1, 1] })

receive<number>((times) => {
  for (let i = 0; i < times; i++) {
    common.inc()
    own.inc(2)
    gauge.inc()
    living.inc()
    histogram.observe(0.5)
  }
  send(metrics.prometheus())
})
send('ready')
