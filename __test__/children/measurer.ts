/**
 * Counts in metrics by remote control: each message is how often; the answer is what it renders then.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Measuring {
  readonly name: string
  readonly size: `${number}mb`
  readonly worker: number
}

const { name, size, worker } = input<Measuring>()
const cache = open({ name, size, writeTimeout: '10s' })
const metrics = cache.metrics()
const common = metrics.counter('common_total', {}, { help: 'Of all workers.' })
const own = metrics.counter('own_total', { worker })
const gauge = metrics.gauge('connections')
const histogram = metrics.histogram('seconds', { route: '/' }, { buckets: [0.1, 1] })

receive<number>((times) => {
  for (let i = 0; i < times; i++) {
    common.inc()
    own.inc(2)
    gauge.inc()
    histogram.observe(0.5)
  }
  send(metrics.prometheus())
})
send('ready')
