/**
 * A region by remote control: the test sends `[action, ...arguments]` and gets `{ value }` or `{ code, message }` back.
 *
 * Two numbers are kept equal under the lock, and changed by plain reads and writes. A process that dies in between
 * leaves them unequal, and the next holder makes the second equal to the first.
 */
import { runInNewContext } from 'node:vm'
import { setFlagsFromString } from 'node:v8'
import { openRegion } from '../../index.ts'
import type { RegionLock, RegionOptions } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

/** The answer to a message. */
export interface Answer {
  readonly value?: unknown
  readonly code?: string
  readonly message?: string
}

const region = openRegion(input<RegionOptions>())
const numbers = new Float64Array(region.buffer, 0, 2)
const integers = new Int32Array(region.buffer, 16, 2)
const PATIENT = { timeout: '30s' } as const
let held: RegionLock | undefined

const actions: Record<string, (...args: never[]) => unknown> = {
  /** Counts up under the lock. Returns the number of repairs. */
  count(times: number) {
    let repairs = 0
    for (let i = 0; i < times; i++) {
      region.withLock(({ recovered }) => {
        if (recovered) repairs += repaired()
        numbers[0] = (numbers[0] as number) + 1
        numbers[1] = (numbers[1] as number) + 1
      }, PATIENT)
    }
    return repairs
  },
  countAtomically(times: number) {
    for (let i = 0; i < times; i++) Atomics.add(integers, 0, 1)
  },
  /** Is killed between the two writes. */
  dieInside() {
    region.withLock(({ recovered }) => {
      if (recovered) send({ value: repaired() })
      numbers[0] = (numbers[0] as number) + 1
      process.kill(process.pid, 'SIGKILL')
      for (;;);
    }, PATIENT)
  },
  take(timeout: number) {
    held = region.lock({ timeout })
    return held.recovered
  },
  tryTake() {
    held = region.tryLock()
    return held?.recovered
  },
  release: () => held?.release(),
  abandon: () => held?.abandon(),
  read: (index: number) => numbers[index],
  write: (index: number, number: number) => void (numbers[index] = number),
  attached: () => region.attached,
  close: () => region.close(),
  /** Leaves by `process.exit` while it holds the lock. */
  exitInside() {
    region.lock(PATIENT)
    process.exit()
  },
  /** Moves the bytes to another buffer, closes the region, and continues with the bytes. */
  moveAway() {
    // Before Node 22 this is behind a flag, which new contexts see.
    setFlagsFromString('--harmony-rab-gsab-transfer')
    setFlagsFromString('--expose-gc')
    const transfer = runInNewContext('ArrayBuffer.prototype.transfer') as (this: ArrayBuffer) => ArrayBuffer
    const collect = runInNewContext('gc') as () => void
    const moved = new Float64Array(transfer.call(region.buffer), 0, 2)
    moved[0] = 42
    region.close()
    collect()
    moved[1] = (moved[0] as number) + 1
    return [region.buffer.byteLength, ...moved]
  },
}

receive<[string, ...never[]]>(([action, ...args]) => send(run(action, args)))
send('ready')

function run(action: string, args: never[]): Answer {
  try {
    return { value: actions[action]?.(...args) }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return { code: code ?? 'none', message }
  }
}

function repaired(): number {
  numbers[1] = numbers[0] as number
  return 1
}
