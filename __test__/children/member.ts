/**
 * A process of another user by remote control: the test sends `[action, ...arguments]` and gets `{ value }` or
 * `{ code, message, hint }` back.
 */
import { open, openRegion, regions, segments } from '../../index.ts'
import type { OpenOptions, Region, RegionOptions, SharedCache } from '../../index.ts'
import { receive, send } from '../helpers/port.ts'

/** The answer to a message. */
export interface Answer {
  readonly value?: unknown
  readonly code?: string
  readonly message?: string
  readonly hint?: string
}

let cache: SharedCache | undefined
let region: Region | undefined
const warnings: string[] = []
process.on('warning', ({ message }) => warnings.push(message))

const actions: Record<string, (...args: never[]) => unknown> = {
  /** Opens a cache, for `call` and `lock`. */
  open(options: OpenOptions) {
    cache?.close()
    cache = open({ size: '8mb', writeTimeout: '10s', ...options })
  },
  async call(method: string, ...args: unknown[]) {
    if (cache === undefined) throw new Error('no cache is open')
    const member: unknown = Reflect.get(cache, method, cache)
    return typeof member === 'function' ? ((await member.apply(cache, args)) as unknown) : member
  },
  /** Takes a lock and keeps it. Returns its token. */
  lock: async (key: string) => (await cache?.lock(key, { timeout: '20s' }))?.token,
  openRegion(options: RegionOptions) {
    region = openRegion(options)
  },
  addToRegion: (number: number) =>
    region?.withLock(() => {
      const numbers = new Float64Array(region?.buffer as ArrayBuffer)
      return (numbers[0] = (numbers[0] as number) + number)
    }),
  list: (place: object) => segments.list(place).map(({ name }) => name),
  inspect: (name: string, place: object) => segments.inspect(name, place)?.processes.length,
  destroy: (name: string, options: object) => segments.destroy(name, options),
  listRegions: (place: object) => regions.list(place).map(({ cache: of, name }) => `${of}@${name}`),
  destroyRegion: (of: string, name: string, options: object) => regions.destroy(of, name, options),
  warnings: () => warnings,
}

receive<[string, ...never[]]>(([action, ...args]) => void run(action, args).then(send))
send('ready')

async function run(action: string, args: never[]): Promise<Answer> {
  try {
    return { value: await actions[action]?.(...args) }
  } catch (error) {
    const { code, message, hint } = error as { code?: string; message: string; hint?: string }
    return { code: code ?? 'none', message, ...(hint !== undefined && { hint }) }
  }
}
