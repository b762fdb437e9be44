/** `monitor`: what happens in a segment, sampled. */
import { openSegment } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { LIVE, follow, repeat } from '../live.ts'
import { count, shownKey } from '../output.ts'
import type { Output } from '../output.ts'
import { Reservoir, ratesOf } from '../../viewing/rates.ts'
import type { Rates } from '../../viewing/rates.ts'
import { toKeyForm } from '../values.ts'
import type { Change } from '../../messaging/changes.ts'
import { NAMESPACE, SEGMENT } from '../grammar.ts'

const DEFAULT_SAMPLE = 10

export const monitor: Command = {
  name: 'monitor',
  summary: 'print rates and a sample of the changes, at any load',
  about: [
    'Each second it prints the rates, and some of the changes of that second, each with the same chance. So it can run beside ' +
      'a busy program: it prints little, however much happens. "watch" prints every change.',
    'Reads are in the rates only: the segment does not record which keys are read. "top" and "ui" sample them.',
  ],
  parameters: [SEGMENT],
  options: {
    namespace: NAMESPACE,
    ...LIVE,
    sample: {
      type: 'count',
      short: 's',
      value: 'N',
      what: `changes that are printed of each interval; default: ${DEFAULT_SAMPLE}`,
    },
  },
  examples: [
    ['cache-machine monitor app', 'until Ctrl+C'],
    ['cache-machine monitor app --sample 50 --interval 5s --json', 'for a program'],
  ],
  json: 'one interval a line: "time", "rates" (per second), "changes" (their number), "lost", "sample" (an array of "type" and "key")',
  async run(call, world): Promise<ExitCode> {
    const size = call.count('sample') ?? DEFAULT_SAMPLE
    using opened = openSegment(call, world)
    const { cache } = opened
    const reservoir = new Reservoir<Change>(size)
    let lost = 0
    const watching = follow(cache, world.signal, (change) => {
      lost += change.lost
      reservoir.add(change)
    })
    let before = cache.stats()
    await repeat(call, world, watching, (seconds) => {
      const stats = cache.stats()
      const rates = ratesOf(before, stats, seconds)
      before = stats
      const changes = reservoir.seen + lost
      const sample = reservoir.take()
      if (call.flag('json')) {
        const form = sample.map(({ type, key }) => ({ type, key: key === undefined ? null : toKeyForm(key) }))
        world.out.line(JSON.stringify({ time: Date.now(), rates, changes, lost, sample: form }))
      } else print(rates, changes, sample, world.out)
      lost = 0
    })
    return 0
  },
}

function print(rates: Rates, changes: number, sample: readonly Change[], out: Output): void {
  const { hits, misses, sets, deletes, evictions, expirations } = rates
  const parts = Object.entries({ hits, misses, sets, deletes, evictions, expirations })
  const text = parts.map(([name, rate]) => `${count(rate)} ${name}/s`).join(', ')
  out.line(`${new Date().toISOString().slice(11, 19)}  ${text}`)
  for (const { type, key } of sample)
    out.line(`          ${type.padEnd(10)}  ${key === undefined ? '' : shownKey(key)}`)
  if (changes > sample.length)
    out.line(out.colour('dim', `          ... ${count(changes - sample.length)} more changes`))
}
