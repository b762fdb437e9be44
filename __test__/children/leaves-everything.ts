/**
 * Holds, awaits and loads everything that a cache offers, and ends in this state.
 */
import { open, openRegion } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export type Ending = 'exit' | 'throw' | 'kill'

const { name } = input<{ name: string }>()
const cache = open({ name, size: '8mb' })
const never = new Promise<never>(() => undefined)
const nothing = (): undefined => undefined

await cache.lock('lock')
await cache.semaphore('permit', 1).acquire()
await cache.elect('leader')
openRegion({ cache: name, name: 'region', size: 4096 }).lock()
cache.lock('of the test').catch(nothing)
cache.getOrSet('load', () => never).catch(nothing)
cache.once('once', () => never).catch(nothing)
cache.waitFor('never').catch(nothing)
cache.watch().next().catch(nothing)
cache.subscribe('news').next().catch(nothing)

receive<Ending>((ending) => {
  if (ending === 'exit') process.exit(3)
  if (ending === 'throw') throw new Error('the intended end of leaves-everything')
  process.kill(process.pid, 'SIGKILL')
})
send('ready')
