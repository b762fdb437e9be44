/** `top`: a live view of a segment. */
import { openSegment, placeOf } from '../command.ts'
import type { Command, ExitCode, InspectedCache } from '../command.ts'
import { LIVE, follow, repeat } from '../live.ts'
import { count, cut, duration, share, shownKey, size, some } from '../output.ts'
import type { Output } from '../output.ts'
import { seen } from '../../segment/seen-processes.ts'
import type { SeenProcess } from '../../segment/seen-processes.ts'
import { HEAD, heldForm, rowOf } from './locks.ts'
import { KeyCounts, ratesOf } from '../rates.ts'
import type { Rates } from '../rates.ts'
import type { Key } from '../../arguments/keys.ts'
import type { Held } from '../../segment/holders.ts'
import type { Stats } from '../../segment/stats.ts'
import { NAMESPACE, SEGMENT } from '../grammar.ts'

/** Keys that a list shows. */
const SHOWN = 5
/** Entries of which each frame looks at the size. */
const SIZED_PER_FRAME = 2000

interface Frame {
  readonly name: string
  readonly time: number
  readonly stats: Stats
  readonly rates: Rates
  readonly written: readonly [key: string, count: number][]
  readonly largest: readonly [key: string, bytes: number][]
  readonly held: readonly Held[]
  readonly processes: readonly SeenProcess[]
}

export const top: Command = {
  name: 'top',
  summary: 'watch a segment live: rates, hit ratio, memory, hot and large keys, processes',
  about: [
    'Each second it shows the rates of hits, misses, writes, evictions and expirations, the hit ratio, memory, and how often ' +
      'writers slept for a lock of a shard ("lock waits").',
    'The hottest keys are those that were written most often since the command began, by the change stream; reads of single ' +
      'keys are not recorded anywhere. The largest keys come from a walk over all entries, 2,000 in each frame, so a large ' +
      'segment takes many frames. Held locks, semaphores and leaderships come with their holders and waiters.',
    'Rates and memory are those of the whole segment; keys and locks are those outside of namespaces. With --namespace, rates, ' +
      'keys and locks are those of the namespace.',
    'On a terminal the frames replace each other. Otherwise they follow each other, for logs. Ctrl+C ends it.',
  ],
  parameters: [SEGMENT],
  options: { namespace: NAMESPACE, ...LIVE },
  examples: [
    ['cache-machine top app', 'until Ctrl+C'],
    ['cache-machine top app --count 1 --interval 5s', 'one frame over five seconds'],
  ],
  json:
    'one frame a line: "name", "time", "stats" (as "stats --json"), "rates" (per second), "written" and "largest" (arrays of ' +
    '[key, number]), "held" (as "locks --json"), "processes"',
  async run(call, world): Promise<ExitCode> {
    using opened = openSegment(call, world, { strict: false })
    const { cache } = opened
    const written = new KeyCounts()
    const sizes = new Sizes(cache)
    const watching = follow(cache, world.signal, ({ key, type }) => {
      if (key !== undefined && type === 'set') written.add(shownKey(key))
    })
    let before = cache.stats()
    await repeat(call, world, watching, async (seconds) => {
      const stats = cache.stats()
      await sizes.look()
      const info = world.segments.inspect(call.parameter(0), placeOf(call))
      const frame: Frame = {
        name: call.parameter(0),
        time: Date.now(),
        stats,
        rates: ratesOf(before, stats, seconds),
        written: written.top(SHOWN),
        largest: sizes.largest(SHOWN),
        held: world.heldIn(cache),
        processes: (info?.processes ?? []).map((process) => seen(process, info?.path ?? '')),
      }
      before = stats
      if (call.flag('json')) world.out.line(JSON.stringify({ ...frame, held: frame.held.map(heldForm) }))
      else draw(frame, world.out)
    })
    return 0
  },
}

/** The sizes of entries, from a walk that goes on from frame to frame and begins anew at its end. */
class Sizes {
  readonly #cache: InspectedCache
  #walk: Iterator<Key>
  #now = new Map<string, number>()
  #last = new Map<string, number>()

  constructor(cache: InspectedCache) {
    this.#cache = cache
    this.#walk = cache.keys()
  }

  async look(): Promise<void> {
    for (let i = 0; i < SIZED_PER_FRAME; i++) {
      const { value: key, done } = this.#walk.next()
      if (done) {
        this.#walk = this.#cache.keys()
        ;[this.#last, this.#now] = [this.#now, new Map()]
        return
      }
      const entry = this.#cache.getEntry(key as Key, { peek: true, collections: true })
      if (entry !== undefined) keepLargest(this.#now, shownKey(key as Key), entry.size)
    }
  }

  largest(number: number): [string, number][] {
    const both = new Map([...this.#last, ...this.#now])
    return [...both].toSorted(([, a], [, b]) => b - a).slice(0, number)
  }
}

function keepLargest(sizes: Map<string, number>, key: string, bytes: number): void {
  sizes.set(key, bytes)
  if (sizes.size <= 4 * SHOWN) return
  const kept = [...sizes].toSorted(([, a], [, b]) => b - a).slice(0, 2 * SHOWN)
  sizes.clear()
  for (const [name, number] of kept) sizes.set(name, number)
}

function draw({ name, time, stats, rates, written, largest, held, processes }: Frame, out: Output): void {
  if (out.isTerminal) out.write('\u001B[H\u001B[2J')
  const perSecond = (number: number): string => `${count(number)}/s`
  const reads = rates.hits + rates.misses
  out.line(`${out.colour('bold', name)}  ${new Date(time).toISOString()}  ${some(stats.entries, 'entry', 'entries')}`)
  out.pairs([
    [
      'reads',
      `${perSecond(reads)}, hit ratio ${share(rates.hits, reads)} (${share(stats.hits, stats.hits + stats.misses)} ever)`,
    ],
    ['writes', `${perSecond(rates.sets)} sets, ${perSecond(rates.deletes)} deletes`],
    ['leaving', `${perSecond(rates.evictions)} evictions, ${perSecond(rates.expirations)} expirations`],
    [
      'memory',
      `${size(stats.usedBytes)} of ${size(stats.capacityBytes)} (${share(stats.usedBytes, stats.capacityBytes)})`,
    ],
    [
      'lock waits',
      `${perSecond(rates.lockWaits)} slept, ${perSecond(rates.busy)} ended in ERR_BUSY, ${count(stats.repairs)} repairs ever`,
    ],
  ])
  const lists: [string, readonly [string, number][], (number: number) => string][] = [
    ['WRITTEN KEYS', written, (number) => count(number)],
    ['LARGE KEYS', largest, size],
  ]
  for (const [title, rows, show] of lists) {
    if (rows.length === 0) continue
    out.line()
    out.table(
      [title, ''],
      rows.map(([key, number]) => [cut(key, 60), show(number)]),
    )
  }
  if (held.length > 0) {
    out.line()
    out.table(HEAD, held.slice(0, SHOWN).map(rowOf))
    if (held.length > SHOWN) out.line(`... and ${count(held.length - SHOWN)} more: cache-machine locks ${name}`)
  }
  out.line()
  if (processes.length === 0) return
  out.table(
    ['PID', 'STATE', 'ATTACHED', 'TITLE'],
    processes.map(({ pid, state, attachedAt, title }) => [
      pid,
      state,
      duration(time - attachedAt),
      cut(title ?? '-', 60),
    ]),
  )
  if (!out.isTerminal) out.line()
}
