/**
 * The time from just before one process notifies until another process has the message.
 *
 * The message contains the sender's clock reading; the clock is the same in all processes of a host.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { now } from '../measure.mjs'
import { randomFrom } from '../zipf.mjs'

/** Starts to record each message with its time of arrival. */
export async function listen(memory) {
  memory.received = []
  await memory.store.listen((text) => memory.received.push({ sent: Number(text), at: now() }))
}

/**
 * Sends `count` messages, with pauses of `min` to `max` milliseconds that let the listener fall asleep.
 *
 * @returns {Promise<number[]>} the time of each, in milliseconds
 */
export async function notify({ store }, { count, min, max, seed }) {
  const random = randomFrom(seed)
  const times = []
  for (let i = 0; i < count; i++) {
    await sleep(min + random() * (max - min))
    const sent = now()
    times.push(sent)
    await store.notify(String(sent))
  }
  return times
}

/** @returns {{ sent: number, at: number }[]} the messages since the last call */
export function received(memory) {
  return memory.received.splice(0)
}
