/**
 * The loop of the live commands: one frame for each interval, until a number of frames, or Ctrl+C.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Milliseconds } from '../arguments/units.ts'
import type { InspectedCache, World } from './command.ts'
import type { Call } from './arguments.ts'
import type { Change } from '../messaging/changes.ts'
import type { Option } from './grammar.ts'

/** The options of live commands. */
export const LIVE: Readonly<Record<'interval' | 'count', Option>> = {
  interval: { type: 'duration', short: 'i', value: 'TIME', what: 'time between two frames; default: 1s' },
  count: { type: 'count', short: 'c', value: 'N', what: 'end after so many frames' },
}

/** Calls `frame` after each interval, with the seconds since the last call. Ends early when `watching` fails. */
export async function repeat(
  call: Call,
  { signal }: World,
  watching: Promise<void>,
  frame: (seconds: number) => void | Promise<void>,
): Promise<void> {
  const interval = call.duration('interval') ?? 1000
  const limit = call.count('count') ?? Infinity
  let last = performance.now()
  for (let frames = 0; frames < limit; frames++) {
    await Promise.race([watching, pause(interval, signal)])
    if (signal.aborted) return
    const now = performance.now()
    await frame((now - last) / 1000)
    last = now
  }
}

/** Calls `see` with each change, until the signal is aborted. Rejects when the segment is lost. */
export async function follow(cache: InspectedCache, signal: AbortSignal, see: (change: Change) => void): Promise<void> {
  try {
    for await (const change of cache.watch({}, { signal, buffer: 10_000, ref: false })) see(change)
  } catch (error) {
    if (!signal.aborted) throw error
  }
  // The loop ends with the signal; without it this promise must not win a race.
  await new Promise(() => undefined)
}

async function pause(time: Milliseconds, signal: AbortSignal): Promise<void> {
  try {
    await delay(time, undefined, { signal })
  } catch {
    // Aborted: the loop looks at the signal.
  }
}
