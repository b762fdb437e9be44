/**
 * Writes through an adapter, or begins a load and never ends it.
 */
import { open } from '../../index.ts'
import type { DriverModule } from '../adapters/driver.ts'
import { input, send } from '../helpers/port.ts'

const { adapter, name, call } = input<{ adapter: string; name: string; call: 'set' | 'load' }>()
const { driver } = (await import(`../adapters/drivers/${adapter}.ts`)) as DriverModule
const host = await driver(open({ name, size: '8mb' }))
if (call === 'set') {
  await host.set('a', { from: 'another process' })
  send('set')
} else {
  await host.load?.('a', () => {
    send('loading')
    return new Promise(() => undefined)
  })
}
