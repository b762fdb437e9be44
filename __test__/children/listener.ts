/**
 * Listens to every event and lets the process end as it may.
 */
import { open } from '../../index.ts'
import type { OpenOptions } from '../../index.ts'
import { input, send } from '../helpers/port.ts'

const cache = open(input<OpenOptions>())
for (const event of ['damage', 'repaired', 'detached'] as const) cache.on(event, () => undefined)
send('listening')
