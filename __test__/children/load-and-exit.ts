/**
 * Asks for a key that another process loads, reports the value, and lets the process end as it may.
 */
import { open } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

const { name } = input<{ name: string }>()
const cache = open({ name, size: '8mb' })
void cache.getOrSet('a', () => 'loaded here').then(send)
process.channel?.unref()
send('asking')
