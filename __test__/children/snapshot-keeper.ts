/**
 * Keeps snapshots of a cache, and does what the test asks. See `Keeping`.
 */
import { open } from '../../index.ts'
import type { RestoreInfo, SharedCache, SnapshotKeeper } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

export interface Keeping {
  readonly name: string
  readonly path: string
  /**
   * - `keep`: keeps snapshots every second, and answers `Question`s.
   * - `leave`: the same, and ends by itself.
   * - `write`: writes snapshots one after the other until it is killed; a message after the first.
   * - `change`: changes `w0` to `w99` until it is killed.
   */
  readonly work: 'keep' | 'leave' | 'write' | 'change'
  /** A listener of the application for SIGTERM: none, one that ends the process with 7, or one that is called once. */
  readonly listener?: 'on' | 'once'
  readonly every?: `${number}s`
}

export type Question = 'state' | 'snapshot' | 'stop'

export interface State {
  readonly leads: boolean
  readonly restored: RestoreInfo | undefined
  /** Snapshots that this process has written. */
  readonly written: number
  readonly errors: readonly string[]
}

const { name, path, work, listener, every = '1s' } = input<Keeping>()
const cache: SharedCache = open({ name, size: '32mb', writeTimeout: '10s' })
let written = 0
const errors: string[] = []

// The end of an application takes a while: then the snapshot has its time.
const end = (): void => void setTimeout(() => process.exit(7), 3000)
if (listener === 'on') process.on('SIGTERM', end)
if (listener === 'once') process.once('SIGTERM', end)

if (work === 'write') await writeForEver()
else if (work === 'change') change()
else await keep()

async function keep(): Promise<void> {
  const keeper = await cache.keepSnapshots(path, {
    every,
    onSnapshot: () => written++,
    onError: (error) => errors.push((error as { code: string }).code),
  })
  if (work === 'leave') {
    send(stateOf(keeper))
    process.disconnect()
    return
  }
  receive<Question>((question) => void answer(keeper, question).then(send))
  process.on('disconnect', () => process.exit())
  send(stateOf(keeper))
}

function stateOf({ leads, restored }: SnapshotKeeper): State {
  return { leads, restored, written, errors }
}

async function answer(keeper: SnapshotKeeper, question: Question): Promise<State> {
  if (question === 'snapshot') await keeper.snapshot()
  if (question === 'stop') await keeper.stop()
  return stateOf(keeper)
}

async function writeForEver(): Promise<void> {
  process.on('disconnect', () => process.exit())
  for (let count = 0; ; count++) {
    await cache.snapshot(path, { compression: 'none' })
    if (count === 0) send('written')
  }
}

function change(): void {
  process.on('disconnect', () => process.exit())
  let n = 0
  const round = (): void => {
    n++
    for (let i = 0; i < 100; i++) cache.set(`w${i}`, { i, n, text: `${n} `.repeat(200) })
    if (n === 1) send('changing')
    setImmediate(round)
  }
  round()
}
