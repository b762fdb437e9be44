/**
 * One of several equal workers. All want to run the cron job; the one that leads does, every 50 ms.
 */
import { open } from 'cache-machine'

const cache = open({ name: process.env.CACHE_NAME ?? 'cron', size: '8mb' })
process.on('disconnect', () => process.exit())
process.send('ready')

// Waits without asking again and again. The primary's channel keeps the process alive meanwhile.
const leadership = await cache.elect('cron')
process.send('leads')

const timer = setInterval(runJob, 50)
leadership.signal.addEventListener('abort', () => clearInterval(timer))

function runJob() {
  // A real job would hand `leadership.token` to what it writes to: a database can refuse a leader that is no longer one.
  const run = cache.incr('runs')
  process.send({ run, token: leadership.token })
}
