/**
 * From just before one process rings until the other has the message in its hands.
 *
 * The ringer puts its clock into the message; the clock is the same in all processes of a host.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../measure.mjs'
import { randomFrom } from '../zipf.mjs'

/** From now on the process keeps what it hears, and when. */
export async function listen(memory) {
  memory.heard = []
  await memory.store.listen((text) => memory.heard.push({ sent: Number(text), at: now() }))
}

/**
 * Rings `count` times, with pauses that let the listener fall asleep.
 *
 * @returns {Promise<number[]>} when, in milliseconds
 */
export async function ring({ store }, { count, shortest, longest, seed }) {
  const random = randomFrom(seed)
  const times = []
  for (let i = 0; i < count; i++) {
    await sleep(shortest + random() * (longest - shortest))
    const sent = now()
    times.push(sent)
    await store.ring(String(sent))
  }
  return times
}

/** @returns {{ sent: number, at: number }[]} since the last time it was asked */
export function heard(memory) {
  return memory.heard.splice(0)
}
