/** `top`: a live view of a segment. */
import { openSegment, placeOf } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { LIVE, follow, repeat } from '../live.ts'
import { count, cut, duration, share, shownKey, shownText, size, some } from '../output.ts'
import type { Output } from '../output.ts'
import { seen } from '../../segment/seen-processes.ts'
import type { SeenProcess } from '../../segment/seen-processes.ts'
import { HEAD, heldForm, rowOf } from './locks.ts'
import { KeyCounts, ratesOf } from '../../viewing/rates.ts'
import type { Rates } from '../../viewing/rates.ts'
import { Sizes } from '../../viewing/sizes.ts'
import { SampleView } from '../../sampling/sample-view.ts'
import type { Held } from '../../segment/holders.ts'
import type { Stats } from '../../segment/stats.ts'
import { NAMESPACE, SEGMENT } from '../grammar.ts'

/** Keys that a list shows. */
const SHOWN = 5
/** Called keys among which those of a namespace are looked for. */
const MAX_CALLED = 200

interface Frame {
  readonly name: string
  readonly time: number
  readonly stats: Stats
  readonly rates: Rates
  readonly called: readonly CalledKey[]
  readonly written: readonly [key: string, count: number][]
  readonly largest: readonly [key: string, bytes: number][]
  readonly held: readonly Held[]
  readonly processes: readonly SeenProcess[]
}

/** A key that is called often, with its estimated rates per second. */
interface CalledKey {
  readonly namespace: string
  readonly key: string
  readonly reads: number
  readonly writes: number
}

export const top: Command = {
  name: 'top',
  summary: 'watch a segment live: rates, hit ratio, memory, hot and large keys, processes',
  about: [
    'Each second it shows the rates of hits, misses, writes, evictions and expirations, the hit ratio, memory, and how often ' +
      'writers slept for a lock of a shard ("lock waits").',
    'The called keys are those that all processes read and write most often, hits of their near caches included: while this ' +
      'command runs, each process samples one of 1,024 calls. The rates are estimates over the last ten seconds, from at ' +
      'least some thousand calls a second on. The written keys are counted exactly, by the change stream, since the ' +
      'command began.',
    'The largest keys come from a walk over all entries, up to 5,000 in each frame, so a large segment takes many frames. ' +
      'Held locks, semaphores and leaderships come with their holders and waiters.',
    'Rates and memory are those of the whole segment; written and large keys and locks are those outside of namespaces, and called keys ' +
      'those of all namespaces. With --namespace, all of them are those of the namespace.',
    'On a terminal the frames replace each other. Otherwise they follow each other, for logs. Ctrl+C ends it.',
  ],
  parameters: [SEGMENT],
  options: { namespace: NAMESPACE, ...LIVE },
  examples: [
    ['cache-machine top app', 'until Ctrl+C'],
    ['cache-machine top app --count 1 --interval 5s', 'one frame over five seconds'],
  ],
  json:
    'one frame a line: "name", "time", "stats" (as "stats --json"), "rates" (per second), "called" (an array of "namespace", ' +
    '"key", "reads" and "writes" per second), "written" and "largest" (arrays of [key, number]), "held" (as "locks --json"), "processes"',
  async run(call, world): Promise<ExitCode> {
    using opened = openSegment(call, world, { strict: false })
    const { root, cache } = opened
    const namespace = call.text('namespace')
    const samples = new SampleView()
    const written = new KeyCounts()
    const sizes = new Sizes(SHOWN, () => [['', cache]])
    const changes = follow(cache, world.signal, ({ key, type }) => {
      if (key !== undefined && type === 'set') written.add(shownKey(key))
    })
    // Without an end of its own: the loop ends with the signal.
    const sampling = samples.follow(root, world.signal).then(() => new Promise<void>(() => undefined))
    const watching = Promise.race([changes, sampling])
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
        called: calledOf(samples, namespace),
        written: written.top(SHOWN),
        largest: sizes.largest().map(({ key, bytes }) => [shownKey(key), bytes]),
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

/** `namespace`: only keys of this one. */
function calledOf(samples: SampleView, namespace: string | undefined): CalledKey[] {
  return samples
    .frame(MAX_CALLED)
    .hottest.filter((hot) => namespace === undefined || hot.namespace === namespace)
    .slice(0, SHOWN)
    .map(({ key, ...hot }) => ({ ...hot, key: shownKey(key) }))
}

function draw({ name, time, stats, rates, called, written, largest, held, processes }: Frame, out: Output): void {
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
  if (called.length > 0) {
    out.line()
    out.table(
      ['CALLED KEYS', 'NAMESPACE', 'READS', 'WRITES'],
      called.map(({ key, namespace, reads, writes }) => [
        cut(key, 60),
        namespace === '' ? '-' : cut(shownText(namespace), 30),
        perSecond(reads),
        perSecond(writes),
      ]),
    )
  }
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
