/**
 * Loads a key as often as the test asks, and reports the outcome.
 *
 * The input names the segment. Each message is a load: a number of simultaneous calls, and a loader that takes its time
 * or never returns.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { open } from '../../index.ts'
import type { LoadOptions } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface LoadOrder {
  readonly key: string
  readonly value: unknown
  readonly calls?: number
  /** Milliseconds that the loader takes. Infinity: it never returns. Default: 0. */
  readonly takes?: number
  /** The error that the loader throws after that time. */
  readonly fails?: { readonly name: string; readonly message: string; readonly status: number }
  readonly options?: LoadOptions
  /** Send a message when the loader runs. */
  readonly tell?: boolean
  readonly once?: boolean
  /** Send a message when all calls are made. */
  readonly told?: boolean
}

/** The outcome of a load. */
export interface Loaded {
  readonly values?: unknown[]
  readonly loads: number
  /** Epoch milliseconds. */
  readonly at?: number
  readonly error?: { readonly name: string; readonly message: string; readonly status: unknown; readonly code: unknown }
}

const { name } = input<{ name: string }>()
const cache = open({ name, size: '8mb', writeTimeout: '10s' })

receive<LoadOrder>((order) => {
  void run(order).then(send)
})
send('ready')

async function run({ key, value, calls = 1, takes = 0, fails, options, tell, once, told }: LoadOrder): Promise<Loaded> {
  let loads = 0
  const load = async (): Promise<unknown> => {
    loads++
    if (tell) send('loading')
    if (takes === Infinity) await new Promise(() => undefined)
    if (takes > 0) await delay(takes)
    if (fails !== undefined) throw Object.assign(new Error(fails.message), fails)
    return value
  }
  const ask = (): Promise<unknown> => (once ? cache.once(key, load) : cache.getOrSet(key, load, options))
  try {
    const asked = Array.from({ length: calls }, ask)
    if (told) send('asked')
    const values = await Promise.all(asked)
    return { values, loads, at: Date.now() }
  } catch (error) {
    const { name, message, status, code } = error as Error & { status?: unknown; code?: unknown }
    return { loads, error: { name, message, status, code } }
  }
}
