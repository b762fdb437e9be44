/**
 * Changes one value many times, each time on condition that nobody else has changed it meanwhile.
 */
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Swapper {
  readonly name: string
  readonly size: `${number}mb`
  readonly times: number
}

const { name, size, times } = input<Swapper>()
const cache = open<{ length: number }>({ name, size, writeTimeout: '10s' })

receive(() => {
  let refused = 0
  for (let i = 0; i < times;) {
    const entry = cache.getEntry('list')
    if (!entry) throw new Error('the value is gone')
    const changed = { length: entry.value.length + 1 }
    if (cache.set('list', changed, { if: { version: entry.version } })) i++
    else refused++
  }
  send(refused)
})
send('ready')
