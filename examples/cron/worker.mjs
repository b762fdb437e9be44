/**
 * One of several equal workers. All of them want to run the cron job; the leader runs it every 50 ms.
 */
import { open } from 'cache-machine'

const cache = open({ name: process.env.CACHE_NAME ?? 'cron', size: '8mb' })
process.on('disconnect', () => process.exit())
process.send('ready')

// Waits without polling. The channel to the parent process keeps this process alive meanwhile.
const leadership = await cache.elect('cron')
process.send('leads')

const timer = setInterval(runJob, 50)
leadership.signal.addEventListener('abort', () => clearInterval(timer))

function runJob() {
  // A real job would pass `leadership.token` with its writes: a database can then refuse those of a former leader.
  const run = cache.incr('runs')
  process.send({ run, token: leadership.token })
}
