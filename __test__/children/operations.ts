/**
 * A cache by remote control: the test sends `[method, ...arguments]` and gets `{ value }` or `{ code, message }` back.
 * `listen` and `removals` collect `evict` or `expire`, and `events` the other events.
 */
import { open } from '../../index.ts'
import type { OpenOptions } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'
import { listen } from '../helpers/removals.ts'
import type { Told } from '../helpers/removals.ts'

/** The answer to a message. */
export interface Answer {
  readonly value?: unknown
  readonly code?: string
  readonly message?: string
}

const { namespace = '', ...options } = input<OpenOptions & { namespace?: string }>()
const root = open({ writeTimeout: '10s', ...options })
const cache = namespace === '' ? root : root.namespace(namespace)
const events: string[] = []
const removals: Record<string, Told> = {}
for (const event of ['damage', 'repaired', 'detached'] as const) cache.on(event, () => events.push(event))

receive<[string, ...unknown[]]>(([method, ...args]) => {
  void run(method, args).then(send)
})
send('ready')

async function run(method: string, args: unknown[]): Promise<Answer> {
  if (method === 'exit') process.exit()
  if (method === 'events') return { value: [...events] }
  if (method === 'listen') return { value: void (removals[String(args[0])] = listen(cache, args[0] as 'evict')) }
  if (method === 'removals') return { value: removals[String(args[0])] }
  try {
    const member: unknown = Reflect.get(cache, method, cache)
    return { value: typeof member === 'function' ? await member.apply(cache, args) : member }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return { code: code ?? 'none', message }
  }
}
