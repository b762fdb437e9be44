/**
 * Listeners that throw. Reports the uncaught exceptions, the listeners that ran, and that the cache still worked.
 */
import { open, segments } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

export interface Listening {
  readonly name: string
  readonly size: `${number}mb`
}

const { name, size } = input<Listening>()
const happened: string[] = []
process.on('uncaughtException', (error) => happened.push(`uncaught ${error.message}`))

const cache = open({ name, size })
cache.on('detached', () => {
  happened.push('first')
  throw new Error('by the first')
})
cache.on('detached', () => happened.push(`second sees ${String(cache.get('after'))}`))

segments.destroy(name, { force: true })
cache.set('after', 'a value')
happened.push(`set returned`)
setTimeout(() => {
  send(happened)
  cache.close()
}, 0)
